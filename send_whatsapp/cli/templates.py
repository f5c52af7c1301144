"""The command `templates`: the flows of the account, and which of them a template's name means."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from send_whatsapp.cli.options import Json
from send_whatsapp.cli.output import Exit, Output
from send_whatsapp.client.recipients.cells import printable
from send_whatsapp.contract.catalogue import Catalogue
from send_whatsapp.contract.templates import FlowMatch, match, variable_name
from send_whatsapp.settings import SettingsError, WorkerSettings, load_catalogue
from send_whatsapp.temporal.process import exit_now

if TYPE_CHECKING:
    from send_whatsapp.cgb.account_responses import Flow

app = typer.Typer()

_MATCHED_BY: Final = {
    "catalogue": "set by TEMPLATES_FILE",
    "exact": "the flow has this name",
    "case-insensitive": "the names differ only in case, spaces, - and _",
    "partial": "no other flow has all words of this name",
}


@app.command(epilog="Example: send-whatsapp templates visa_approved")
def templates(
    name: Annotated[
        str | None, typer.Argument(help="A template's name; without it, all flows are listed.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the flows of the account, or show which flow a template's name means.

    Needs CGB_API_KEY. Exit codes: 0, or 1 if no flow matches or the provider refuses or fails.
    """
    output = Output(as_json=as_json)
    try:
        settings = WorkerSettings.load()
    except SettingsError as error:
        output.fail(Exit.INVALID, str(error))
    flows = asyncio.run(_flows(settings, output))
    if name is None:
        _show_flows(output, flows, settings)
        exit_now(Exit.ACCEPTED)
    exit_now(_show_match(output, name, flows, settings))


async def _flows(settings: WorkerSettings, output: Output) -> "list[Flow]":
    # Imported here because it would delay the start of all other commands.
    from send_whatsapp.cgb.client import Budget, CGBClient
    from send_whatsapp.cgb.errors import CGBError, Unauthorized

    async with CGBClient(settings.api_url, settings.api_key.get_secret_value()) as client:
        try:
            return await client.flows(Budget.of(settings.timeout_s, "templates"))
        except Unauthorized:
            output.fail(Exit.FAILED, "The provider refuses the key: correct CGB_API_KEY")
        except CGBError as error:
            output.fail(
                Exit.FAILED,
                f"Could not list the flows ({error}): check CGB_API_URL and the provider's status",
            )


def _show_flows(output: Output, flows: "Sequence[Flow]", settings: WorkerSettings) -> None:
    names = {flow.id: flow.name for flow in flows}
    lines = [f"{flow.id}  {printable(flow.name)}" for flow in flows] or [
        "The account has no flows."
    ]
    for name, flow_id in sorted(settings.templates.items()):
        shown = printable(names.get(flow_id, "the account has no such flow: correct the id"))
        lines.append(f"CGB_TEMPLATE_{name} -> {flow_id}  {shown}")
    output.result(
        {
            "flows": [{"id": flow.id, "name": flow.name} for flow in flows],
            "configured": settings.templates,
        },
        "\n".join(lines),
    )


def _catalogue(settings: WorkerSettings, output: Output) -> Catalogue:
    try:
        return load_catalogue(settings.templates_file)
    except SettingsError as error:
        output.fail(Exit.INVALID, str(error))


def _show_match(
    output: Output, name: str, flows: "Sequence[Flow]", settings: WorkerSettings
) -> Exit:
    listed = _catalogue(settings, output).entry(name)
    if configured := settings.templates.get(variable_name(name)):
        found = FlowMatch(flow_id=configured, matched_by="configured")
    elif listed and listed.flow:
        found = FlowMatch(flow_id=listed.flow, matched_by="catalogue")
    else:
        found = match(name, flows)
    flow_name = next((flow.name for flow in flows if flow.id == found.flow_id), None)
    value: dict[str, Any] = {
        "template": name,
        "flowId": found.flow_id,
        "flowName": flow_name,
        "matchedBy": found.matched_by,
        "reason": found.reason,
    }
    if found.flow_id is None:
        text = (
            f"{found.reason}: use the name of a flow (send-whatsapp templates lists them), or set"
            f" CGB_TEMPLATE_{variable_name(name)} to the id of one"
        )
        output.result(value, printable(text[0].upper() + text[1:]))
        return Exit.FAILED
    why = _MATCHED_BY.get(found.matched_by or "", f"set by CGB_TEMPLATE_{variable_name(name)}")
    shown = flow_name or "not in the account: correct the id"
    output.result(value, printable(f"{name} -> {found.flow_id}  {shown} ({why})"))
    return Exit.ACCEPTED if flow_name is not None else Exit.FAILED
