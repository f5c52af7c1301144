"""What a send would be, for `send --dry-run` and `batch send --dry-run`: nothing is started."""

import asyncio
import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from send_whatsapp.cli.output import Exit, Output
from send_whatsapp.cli.send_times import SendTime
from send_whatsapp.client.recipients.cells import printable
from send_whatsapp.contract.catalogue import Catalogue, variable_problems
from send_whatsapp.contract.errors import ErrorType
from send_whatsapp.contract.names import InvalidKey, workflow_id
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.contract.templates import FlowMatch, match, variable_name
from send_whatsapp.settings import (
    SettingsError,
    TemplateSettings,
    WorkerSettings,
    load_catalogue,
)

_WORKER_LOOKS_UP = "the worker will look it up"


class FlowLookup(NamedTuple):
    """The flow that a template's name finds, or why that is not known here."""

    match: FlowMatch | None
    note: str | None = None

    @property
    def summary(self) -> str:
        """Return the flow and how it was found, or why there is none, for people."""
        if self.match is None:
            return self.note or _WORKER_LOOKS_UP
        if self.match.flow_id is None:
            return f"{self.match.reason}; the fallback text goes out instead"
        return f"flow {self.match.flow_id} ({self.match.matched_by})"


class Templates(NamedTuple):
    """What the settings of this process say about templates."""

    settings: TemplateSettings
    catalogue: Catalogue

    @classmethod
    def load(cls, output: Output) -> "Templates":
        """Return the settings; end the process if one is wrong."""
        try:
            settings = TemplateSettings.load()
            return cls(settings, load_catalogue(settings.templates_file))
        except SettingsError as error:
            output.fail(Exit.INVALID, str(error))

    def lookups(self, names: Iterable[str], output: Output) -> dict[str, FlowLookup]:
        """Return which flow each template's name finds; ask the provider only where necessary."""
        known = {name: self._known(name) for name in names}
        unknown = [name for name, lookup in known.items() if lookup is None]
        asked: dict[str, FlowLookup] = {}
        if unknown:
            try:
                asked = asyncio.run(_ask_provider(unknown))
            except SettingsError as error:
                output.fail(Exit.INVALID, str(error))
        return asked | {name: lookup for name, lookup in known.items() if lookup}

    def _known(self, name: str) -> FlowLookup | None:
        if configured := self.settings.templates.get(variable_name(name)):
            return FlowLookup(FlowMatch(flow_id=configured, matched_by="configured"))
        entry = self.catalogue.entry(name)
        if entry and entry.flow:
            return FlowLookup(FlowMatch(flow_id=entry.flow, matched_by="catalogue"))
        return None


async def _ask_provider(names: list[str]) -> dict[str, FlowLookup]:
    """Return the flow of each name. Raises SettingsError for a wrong setting of the provider."""
    if not os.environ.get("CGB_API_KEY"):
        unknown = FlowLookup(None, f"CGB_API_KEY is not set here, so {_WORKER_LOOKS_UP}")
        return dict.fromkeys(names, unknown)
    # Imported here because it would delay the start of all other commands.
    from send_whatsapp.cgb.client import Budget, CGBClient
    from send_whatsapp.cgb.errors import CGBError

    settings = WorkerSettings.load()
    async with CGBClient(settings.api_url, settings.api_key.get_secret_value()) as client:
        try:
            flows = await client.flows(Budget.of(settings.timeout_s, "dry-run"))
        except CGBError as error:
            unknown = FlowLookup(None, f"could not {error}, so {_WORKER_LOOKS_UP}")
            return dict.fromkeys(names, unknown)
    return {name: FlowLookup(match(name, flows)) for name in names}


def preview(
    request: SendWhatsAppRequest, lookups: Mapping[str, FlowLookup], catalogue: Catalogue
) -> dict[str, Any]:
    """Return what a request would send, as JSON: its kind and the fields of that kind."""
    if request.file_url is not None:
        return {"kind": "media", "fileUrl": request.file_url, "fileType": request.file_type}
    if request.template is None:
        return {"kind": "text", "text": request.message}
    lookup = lookups[request.template]
    if lookup.match and lookup.match.flow_id is None:
        return {
            "kind": "text",
            "text": request.fallback_text,
            "template": request.template,
            "flow": None,
            "fallbackReason": lookup.match.reason,
        }
    entry = catalogue.entry(request.template)
    variables = request.template_variables
    return {
        "kind": "template",
        "template": request.template,
        "flow": lookup.match.flow_id if lookup.match else None,
        "flowFoundBy": lookup.match.matched_by if lookup.match else None,
        "flowNote": lookup.note,
        "variables": variables,
        "preview": entry.preview(variables) if entry else None,
    }


def nothing_to_send(request: SendWhatsAppRequest, lookups: Mapping[str, FlowLookup]) -> bool:
    """Return whether a request has neither a flow nor a fallback text."""
    if request.template is None or request.fallback_text is not None:
        return False
    found = lookups[request.template].match
    return found is not None and found.flow_id is None


def show_send(output: Output, request: SendWhatsAppRequest, key: str | None) -> None:
    """Print what one request would send; end the process with code 2 if it is nothing."""
    try:
        if key is not None:
            workflow_id(key)
    except InvalidKey as error:
        output.fail(Exit.INVALID, str(error))
    templates = Templates.load(output)
    name = request.template
    if name is not None:
        required = templates.catalogue.required(name)
        if problems := variable_problems(required, request.template_variables):
            listed = "; ".join(map(str, problems))
            output.fail(Exit.INVALID, f"The request is invalid: {listed}")
    lookups = templates.lookups([name] if name else [], output)
    shown = preview(request, lookups, templates.catalogue)
    if nothing_to_send(request, lookups):
        output.fail(
            Exit.INVALID,
            f"Nothing would be sent ({shown['fallbackReason']}): create or rename the flow, map the"
            " template with CGB_TEMPLATE_<NAME>, or give a fallback text",
            error_type=ErrorType.TEMPLATE_NOT_FOUND,
        )
    time = SendTime(request)
    if time.is_too_late:
        output.fail(
            Exit.INVALID,
            f"Nothing would be sent: the message would go out {time}, after --expires-in",
            error_type=ErrorType.EXPIRED,
        )
    when = "" if time.is_now else f" {time}"
    lines = [
        f"Would send a {shown['kind']} to {request.to}{when}",
        *(f"template {name}: {lookup.summary}" for name, lookup in lookups.items()),
        *_lines(shown),
    ]
    text = "\n".join(map(printable, lines))
    output.result({"dryRun": True, "to": request.to, "sendsAt": time.json, **shown}, text)


def _lines(shown: Mapping[str, Any]) -> list[str]:
    fields = shown.get("variables", {}) | {
        name: shown.get(name) for name in ("preview", "text", "fileUrl", "fileType")
    }
    return [f"  {name}: {value}" for name, value in fields.items() if value is not None]
