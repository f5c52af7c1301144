"""The list of sends: find runs by what an operator looks for, with one entry for each."""

from datetime import datetime
from typing import Final

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from send_whatsapp.client.links import ui_link
from send_whatsapp.client.newest import newest
from send_whatsapp.client.sends import get_request
from send_whatsapp.client.start_attributes import last_four
from send_whatsapp.client.state import get_state, status_name
from send_whatsapp.contract import attributes
from send_whatsapp.contract.names import SEND_WORKFLOW
from send_whatsapp.contract.phone import DEFAULT_REGION
from send_whatsapp.contract.result import Outcome
from send_whatsapp.temporal.connection import rpc

LIST_TIMEOUT_S = 60.0


class FilterNotPossible(Exception):
    """The server does not know the search attribute that a filter needs."""


class SendFilter(BaseModel):
    """Which sends to list; None means any."""

    outcome: Outcome | None = None
    template: str | None = None
    last4: str | None = None
    error_type: str | None = None
    started_after: datetime | None = None
    task_queue: str | None = None

    def matches(self, send: "ListedSend") -> bool:
        """Return whether a send has the outcome, template and error type that are wanted."""
        return (
            self.outcome in (None, send.outcome)
            and self.template in (None, send.template)
            and self.error_type in (None, send.error_type)
        )


class ListedSend(BaseModel):
    """One send in the list; `status` is Temporal's, `outcome` is ours.

    `last4` are the last digits of the recipient's number. A row of a batch has the batch's key as
    `batch`, and its line in the file as `row`; its `id` is that of the batch.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    id: str
    run_id: str
    status: str
    outcome: Outcome
    template: str | None
    kind: str | None
    last4: str | None
    error_type: str | None
    started_at: datetime
    ui_url: str | None
    batch: str | None = None
    row: int | None = None


# The status is always present and up to date, but it does not tell failed from unknown.
_STATUSES: Final[dict[Outcome, tuple[str, ...]]] = {
    "running": ("Running",),
    "accepted": ("Completed",),
    "cancelled": ("Canceled",),
    "failed": ("Failed", "Terminated", "TimedOut"),
    "unknown": ("Failed", "Terminated", "TimedOut"),
}


async def list_sends(
    client: Client, wanted: SendFilter, limit: int, ui_url: str
) -> list[ListedSend]:
    """Return at most `limit` sends that match, newest first; `ui_url` is the Web UI's address.

    Raises FilterNotPossible, TemporalUnavailable.
    """

    async def listed(run: WorkflowExecution) -> ListedSend | None:
        send = await _listed(client, run, ui_url)
        return send if wanted.outcome in (None, send.outcome) else None

    try:
        async with rpc(client, LIST_TIMEOUT_S):
            return await newest(client, _query(wanted), limit, listed)
    except RPCError as error:
        if error.status == RPCStatusCode.INVALID_ARGUMENT:
            raise FilterNotPossible(
                "the server does not know the search attribute of this filter: start a worker,"
                " which registers it, or run the command in the worker's log"
            ) from None
        raise


def _query(wanted: SendFilter) -> str:
    terms = [f"WorkflowType = {quoted(SEND_WORKFLOW)}"]
    if wanted.outcome:
        statuses = ", ".join(quoted(status) for status in _STATUSES[wanted.outcome])
        terms.append(f"ExecutionStatus IN ({statuses})")
    by_attribute = {
        attributes.TEMPLATE.name: wanted.template,
        attributes.PHONE_LAST4.name: wanted.last4,
        attributes.ERROR_TYPE.name: wanted.error_type,
    }
    terms += [f"{name} = {quoted(value)}" for name, value in by_attribute.items() if value]
    if wanted.task_queue:
        terms.append(f"TaskQueue = {quoted(wanted.task_queue)}")
    return " AND ".join([*terms, *time_terms(wanted)])


def time_terms(wanted: SendFilter) -> list[str]:
    """Return the part of a query that limits when runs started."""
    if wanted.started_after is None:
        return []
    return [f"StartTime >= {quoted(wanted.started_after.isoformat())}"]


def quoted(value: str) -> str:
    """Return a value as the query language of the server writes text."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


async def _listed(client: Client, run: WorkflowExecution, ui_url: str) -> ListedSend:
    found = run.typed_search_attributes
    outcome, error_type = await _outcome(client, run)
    template, kind = found.get(attributes.TEMPLATE), found.get(attributes.KIND)
    last4 = found.get(attributes.PHONE_LAST4)
    if kind is None and found.get(attributes.OUTCOME) is None:
        # The run has no search attributes, so its request says what it sends.
        request = await get_request(client, run.id, run_id=run.run_id)
        if request is not None:
            template, kind = request.template, request.requested_kind
            last4 = last_four(request.to, DEFAULT_REGION)
    return ListedSend(
        id=run.id,
        run_id=run.run_id,
        status=status_name(run.status),
        outcome=outcome,
        template=template,
        kind=kind,
        last4=last4,
        error_type=error_type,
        started_at=run.start_time,
        ui_url=ui_link(ui_url, client.namespace, run.id, run.run_id),
    )


async def _outcome(client: Client, run: WorkflowExecution) -> tuple[Outcome, str | None]:
    """Return the outcome and the error type of a run."""
    attribute = run.typed_search_attributes.get(attributes.OUTCOME)
    error_type = run.typed_search_attributes.get(attributes.ERROR_TYPE)
    match run.status:
        case None | WorkflowExecutionStatus.RUNNING:
            return "running", error_type
        case WorkflowExecutionStatus.COMPLETED:
            return "accepted", error_type
        case WorkflowExecutionStatus.CANCELED:
            return "cancelled", error_type
        case WorkflowExecutionStatus.FAILED if attribute == "failed":
            return "failed", error_type
        case WorkflowExecutionStatus.FAILED if attribute == "unknown":
            return "unknown", error_type
    # The attributes of a terminated or timed-out run keep their last values, which are out of
    # date, and a run with invalid input may have none. Only the history is right.
    state = await get_state(client, run.id, run_id=run.run_id)
    error = state.result.error if state.result else None
    return state.outcome, error.type if error else None
