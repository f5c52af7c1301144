"""The list of sends: which runs an operator asks for, and one row for each."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from rich.table import Table
from rich.text import Text
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from send_whatsapp.client import sends
from send_whatsapp.client.links import ui_link
from send_whatsapp.client.state import State, get_state, status_name
from send_whatsapp.contract import attributes
from send_whatsapp.contract.names import SEND_WORKFLOW
from send_whatsapp.contract.result import Outcome
from send_whatsapp.temporal.connection import rpc


class Outcomes(StrEnum):
    """Outcomes a list can be filtered by."""

    RUNNING = "running"
    ACCEPTED = "accepted"
    FAILED = "failed"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"


class FilterNotPossible(Exception):
    """The server does not know the search attribute that a filter needs."""


class Filter(BaseModel):
    """What an operator looks for; None means any."""

    outcome: Outcome | None = None
    template: str | None = None
    last4: str | None = None
    error_type: str | None = None
    begun_after: datetime | None = None


class Row(BaseModel):
    """One send in the list."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    id: str
    run_id: str
    status: str
    outcome: Outcome
    template: str | None
    kind: str | None
    error_type: str | None
    started_at: datetime
    ui_url: str | None


# Status alone cannot tell failed from unknown, but it is always there and never stale.
_STATUSES: dict[str, tuple[str, ...]] = {
    "running": ("Running",),
    "accepted": ("Completed",),
    "cancelled": ("Canceled",),
    "failed": ("Failed", "Terminated", "TimedOut"),
    "unknown": ("Failed", "Terminated", "TimedOut"),
}


async def rows(client: Client, wanted: Filter, limit: int, ui_url: str) -> list[Row]:
    """Return the newest sends that fit. Raises FilterNotPossible, TemporalUnavailable."""
    found: list[Row] = []
    try:
        async with rpc(client, 60):
            async for run in client.list_workflows(_query(wanted)):
                row = await _row(client, run, ui_url)
                if wanted.outcome in (None, row.outcome):
                    found.append(row)
                if len(found) == limit:
                    break
    except RPCError as error:
        if error.status == RPCStatusCode.INVALID_ARGUMENT:
            raise FilterNotPossible(
                "the server does not know the search attribute of this filter: let a worker"
                " register it, or run the command that its log names"
            ) from None
        raise
    # The server lists open runs first, then by their end.
    return sorted(found, key=lambda row: row.started_at, reverse=True)


def table(found: list[Row], *, terminal: bool) -> Table:
    """Return the rows as a table; its ids are links in a terminal, else each link is written."""
    shown = Table(box=None)
    for name in ("started", "outcome", "kind"):
        shown.add_column(name, no_wrap=True)
    for name in ("template", "error"):
        shown.add_column(name, overflow="fold")
    shown.add_column("id", overflow="fold", no_wrap=not terminal)
    if not terminal:
        shown.add_column("page in the Web UI", no_wrap=True)
    for row in found:
        started = row.started_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        texts = [Text(cell or "") for cell in (row.outcome, row.kind, row.template, row.error_type)]
        id_ = Text(row.id, style=f"link {row.ui_url}" if terminal and row.ui_url else "")
        shown.add_row(started, *texts, id_, *([] if terminal else [row.ui_url or ""]))
    return shown


def _query(wanted: Filter) -> str:
    terms = [f"WorkflowType = {_quoted(SEND_WORKFLOW)}"]
    if wanted.outcome:
        statuses = ", ".join(_quoted(status) for status in _STATUSES[wanted.outcome])
        terms.append(f"ExecutionStatus IN ({statuses})")
    by_attribute = {
        attributes.TEMPLATE.name: wanted.template,
        attributes.PHONE_LAST4.name: wanted.last4,
        attributes.ERROR_TYPE.name: wanted.error_type,
    }
    terms += [f"{name} = {_quoted(value)}" for name, value in by_attribute.items() if value]
    if wanted.begun_after:
        terms.append(f"StartTime >= {_quoted(wanted.begun_after.isoformat())}")
    return " AND ".join(terms)


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


async def _row(client: Client, run: WorkflowExecution, ui_url: str) -> Row:
    known = run.typed_search_attributes
    attribute: Any = known.get(attributes.OUTCOME)
    template = known.get(attributes.TEMPLATE)
    error_type = known.get(attributes.ERROR_TYPE)
    outcome: Outcome
    match run.status:
        case None | WorkflowExecutionStatus.RUNNING:
            outcome = "running"
        case WorkflowExecutionStatus.COMPLETED:
            outcome = "accepted"
        case WorkflowExecutionStatus.CANCELED:
            outcome = "cancelled"
        case WorkflowExecutionStatus.FAILED if attribute in ("failed", "unknown"):
            outcome = attribute
        case _:
            # A run that ended without a word of its own keeps its last attribute for ever.
            state = await get_state(client, run.id, run_id=run.run_id)
            outcome = state.outcome
            error_type = state.result.error.type if state.result and state.result.error else None
    if attribute is None and template is None:
        state = State(
            id=run.id, run_id=run.run_id, status="", outcome=outcome, started_at=run.start_time
        )
        request = await sends.get_request(client, state)
        template = request.template if request else None
    return Row(
        id=run.id,
        run_id=run.run_id,
        status=status_name(run.status),
        outcome=outcome,
        template=template,
        kind=known.get(attributes.KIND),
        error_type=error_type,
        started_at=run.start_time,
        ui_url=ui_link(ui_url, client.namespace, run.id, run.run_id),
    )
