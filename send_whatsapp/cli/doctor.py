"""The doctor: settings, Temporal, provider key, account and flows, each good or what to do."""

from collections.abc import AsyncIterator

from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError

from send_whatsapp.cgb.client import Budget, CGBClient
from send_whatsapp.cgb.errors import CGBError, Unauthorized
from send_whatsapp.cli.output import Exit, out
from send_whatsapp.contract import attributes
from send_whatsapp.settings import SettingsError, WorkerSettings, unknown_variables
from send_whatsapp.temporal.connection import TemporalUnavailable, connect
from send_whatsapp.temporal.task_queue import no_worker

Finding = tuple[bool, str]
"""Whether it is good, and the line that says so or what to do."""


async def doctor() -> Exit:
    """Print a line for each thing a send needs; return 4 where anything is wrong."""
    well = True
    settings: WorkerSettings | None = None
    try:
        settings = WorkerSettings.load()
        _show((True, "settings: each value is sound"))
    except SettingsError as error:
        well = _show((False, f"settings: {error}"))
    for warning in unknown_variables():
        well = _show((False, f"settings: {warning}"))
    task_queue = settings.task_queue if settings else "send-whatsapp"
    async for finding in _temporal(task_queue):
        well = _show(finding) and well
    if settings:
        async for finding in _provider(settings):
            well = _show(finding) and well
    return Exit.ACCEPTED if well else Exit.NO_TEMPORAL


def _show(finding: Finding) -> bool:
    good, line = finding
    out.print("[green]good[/] " if good else "[red]wrong[/]", end=" ")
    out.print(line, markup=False)
    return good


async def _temporal(task_queue: str) -> AsyncIterator[Finding]:
    try:
        client = await connect()
    except (TemporalUnavailable, SettingsError) as error:
        yield False, f"Temporal: {error}"
        return
    address = client.service_client.config.target_host
    yield True, f"Temporal: answers at {address}, namespace {client.namespace}"
    yield await _attributes(client)
    if await no_worker(client, task_queue):
        yield False, f"worker: none serves task queue {task_queue}; start one with `make worker`"
    else:
        yield True, f"worker: task queue {task_queue} is served"


async def _attributes(client: Client) -> Finding:
    try:
        listed = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
    except RPCError as error:
        return False, f"search attributes: cannot be listed ({error.status.name})"
    missing = [key.name for key in attributes.ALL if key.name not in listed.custom_attributes]
    if missing:
        names = " ".join(f"--name {name} --type Keyword" for name in missing)
        command = "temporal operator search-attribute create"
        return False, f"search attributes: start a worker, or run `{command} {names}`"
    return True, "search attributes: all are registered"


async def _provider(settings: WorkerSettings) -> AsyncIterator[Finding]:
    key = settings.api_key.get_secret_value()
    async with CGBClient(settings.api_url, key) as client:
        try:
            account = await client.account(Budget.of(settings.timeout_s, "doctor"))
            yield True, f"provider key: belongs to account {account.name or account.id}"
            flows = await client.flows(Budget.of(settings.timeout_s, "doctor"))
        except Unauthorized:
            yield False, "provider key: refused; correct CGB_API_KEY"
            return
        except CGBError as error:
            yield False, f"provider: {error}; check CGB_API_URL and that the provider is up"
            return
    yield True, f"flows: the account has {len(flows)}"
    known = {flow.id for flow in flows}
    for name, flow_id in sorted(settings.templates.items()):
        if flow_id in known:
            yield True, f"CGB_TEMPLATE_{name}: flow {flow_id} exists"
        else:
            yield False, f"CGB_TEMPLATE_{name}: the account has no flow {flow_id}; correct it"
