"""The command `doctor`: checks everything that a send needs, and says what to correct."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import typer
from temporalio.client import Client
from temporalio.service import RPCError

from send_whatsapp.cli.doctor_catalogue import compare
from send_whatsapp.cli.options import Json
from send_whatsapp.cli.output import Exit, Output
from send_whatsapp.contract.catalogue import NO_CATALOGUE, Catalogue
from send_whatsapp.contract.names import DEFAULT_TASK_QUEUE
from send_whatsapp.settings import (
    CallbackSettings,
    GatewaySettings,
    ProcessSettings,
    SettingsError,
    TemplateSettings,
    TemporalSettings,
    WorkerSettings,
    load_catalogue,
    unknown_variables,
)
from send_whatsapp.temporal.clock import MAX_DIFFERENCE_S, TemporalClock
from send_whatsapp.temporal.connection import TemporalUnavailable, connect
from send_whatsapp.temporal.process import exit_now
from send_whatsapp.temporal.search_attributes import missing_search_attributes, registration_command
from send_whatsapp.temporal.task_queue import no_worker

app = typer.Typer()


class Finding(NamedTuple):
    """The result of one check: a line that says what is right, or what is wrong and what to do."""

    ok: bool
    line: str

    def as_json(self) -> dict[str, Any]:
        """Return the finding as a JSON object."""
        check, _, message = self.line.partition(": ")
        return {"check": check, "ok": self.ok, "message": message}


@app.command(epilog="Example: send-whatsapp doctor")
def doctor(as_json: Json = False) -> None:
    """Check the settings, Temporal, the worker, the provider key, flows and templates.

    The exit code is 4 if anything is wrong.
    """
    exit_now(asyncio.run(_check(Output(as_json=as_json))))


async def _check(output: Output) -> Exit:
    """Print the result of each check and return the exit code."""
    findings: list[Finding] = []
    async for finding in _findings():
        findings.append(finding)
        if not output.as_json:
            output.stdout.print("[green]ok[/]    " if finding.ok else "[red]FAILED[/]", end=" ")
            output.stdout.print(finding.line, markup=False)
    all_ok = all(finding.ok for finding in findings)
    if output.as_json:
        output.json({"ok": all_ok, "checks": [finding.as_json() for finding in findings]})
    return Exit.ACCEPTED if all_ok else Exit.CHECK_FAILED


async def _findings() -> AsyncIterator[Finding]:
    problems = _wrong_settings()
    for problem in problems:
        yield Finding(False, f"settings: {problem}")
    if not problems:
        yield Finding(True, "settings: all values are valid")
    for warning in unknown_variables():
        yield Finding(False, f"settings: {warning}")
    if not (CallbackSettings.problems() or GatewaySettings.problems()):
        for finding in _callbacks():
            yield finding
    if not TemporalSettings.problems():
        async for finding in _temporal(_task_queue()):
            yield finding
    if not WorkerSettings.problems():
        settings = WorkerSettings.load()
        async for finding in _provider(settings, _catalogue(settings)):
            yield finding


def _wrong_settings() -> list[str]:
    kinds = (WorkerSettings, GatewaySettings, TemporalSettings)
    problems = [problem for kind in kinds for problem in kind.problems()]
    try:
        load_catalogue(TemplateSettings.load().templates_file)
    except SettingsError as error:
        problems.append(str(error))
    return list(dict.fromkeys(problems))


def _catalogue(settings: WorkerSettings) -> Catalogue:
    try:
        return load_catalogue(settings.templates_file)
    except SettingsError:
        return NO_CATALOGUE


def _callbacks() -> Iterator[Finding]:
    # Imported here because it would delay the start of all other commands.
    from send_whatsapp.cli.doctor_callbacks import check_callbacks

    for ok, line in check_callbacks():
        yield Finding(ok, line)


def _task_queue() -> str:
    try:
        return ProcessSettings.load().task_queue
    except SettingsError:
        return DEFAULT_TASK_QUEUE


async def _temporal(task_queue: str) -> AsyncIterator[Finding]:
    try:
        client = await connect()
    except (TemporalUnavailable, SettingsError) as error:
        yield Finding(False, f"Temporal: {error}")
        return
    address = client.service_client.config.target_host
    yield Finding(True, f"Temporal: answers at {address}, namespace {client.namespace}")
    yield await _clock(client)
    yield await _search_attributes(client)
    if await no_worker(client, task_queue):
        yield Finding(
            False, f"worker: none serves task queue {task_queue}; start one with `make worker`"
        )
    else:
        yield Finding(True, f"worker: at least one serves task queue {task_queue}")


async def _clock(client: Client) -> Finding:
    clock = TemporalClock(client)
    try:
        await clock.measure()
    except TemporalUnavailable as error:
        return Finding(True, f"clock: cannot be compared with Temporal's clock ({error})")
    if warning := clock.warning():
        return Finding(False, f"clock: {warning}")
    return Finding(True, f"clock: within {MAX_DIFFERENCE_S:.0f} s of Temporal's clock")


async def _search_attributes(client: Client) -> Finding:
    try:
        missing = await missing_search_attributes(client)
    except RPCError as error:
        return Finding(False, f"search attributes: cannot be listed ({error.status.name})")
    if missing:
        command = registration_command(client, missing)
        return Finding(False, f"search attributes: start a worker, or run `{command}`")
    return Finding(True, "search attributes: all are registered")


async def _provider(settings: WorkerSettings, catalogue: Catalogue) -> AsyncIterator[Finding]:
    # Imported here because it would delay the start of all other commands.
    from send_whatsapp.cgb.client import Budget, CGBClient
    from send_whatsapp.cgb.errors import CGBError, Unauthorized

    key = settings.api_key.get_secret_value()
    async with CGBClient(settings.api_url, key) as client:
        try:
            account = await client.account(Budget.of(settings.timeout_s, "doctor"))
            yield Finding(True, f"provider key: belongs to account {account.name or account.id}")
            flows = await client.flows(Budget.of(settings.timeout_s, "doctor"))
            fields = []
            if catalogue.templates:
                fields = await client.custom_fields(Budget.of(settings.timeout_s, "doctor"))
        except Unauthorized:
            yield Finding(False, "provider key: refused; correct CGB_API_KEY")
            return
        except CGBError as error:
            yield Finding(False, f"provider: {error}; check CGB_API_URL and the provider's status")
            return
    yield Finding(True, f"flows: the account has {len(flows)}")
    known = {flow.id for flow in flows}
    for name, flow_id in sorted(settings.templates.items()):
        if flow_id in known:
            yield Finding(True, f"CGB_TEMPLATE_{name}: flow {flow_id} exists")
        else:
            yield Finding(
                False, f"CGB_TEMPLATE_{name}: the account has no flow {flow_id}; correct the id"
            )
    types = {field.name: field.type for field in fields}
    for ok, line in compare(catalogue, settings.templates, flows, types):
        yield Finding(ok, line)
