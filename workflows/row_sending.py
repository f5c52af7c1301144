"""The outcome of a row: after its first attempt in a group, or sent like a single message."""

import asyncio
from typing import NamedTuple

from temporalio import workflow
from temporalio.common import Priority
from temporalio.exceptions import ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.contacts import Contact
    from activities.preparation import Preparation, RunSettings
    from send_whatsapp.contract.attempts import RowEnd
    from send_whatsapp.contract.batch import Row, RowOutcome
    from send_whatsapp.contract.catalogue import variable_problems
    from send_whatsapp.contract.errors import delivery_unknown, invalid_request, outcome_of, utc
    from send_whatsapp.contract.names import row_activity_id
    from send_whatsapp.contract.opening_times import Opening
    from send_whatsapp.contract.templates import FlowMatch
    from workflows.row_gate import RowGate
    from workflows.send_whatsapp import deliver, outgoing
    from workflows.send_windows import WindowClosed
    from workflows.sending import OutgoingMessage, is_lost_worker
    from workflows.steps import SendOptions
    from workflows.turns import Turn
    from workflows.visibility import RowVisibility

ROW_PRIORITY = 4
"""Below a single send's 2: one urgent message overtakes a running batch."""


class EndedRow(NamedTuple):
    """A row's outcome, and whether it is unknown because the worker was lost."""

    outcome: RowOutcome
    worker_was_lost: bool = False


def row_priority(batch: str) -> Priority:
    """Return the priority of the activities of a batch; `batch` is its workflow id."""
    return Priority(priority_key=ROW_PRIORITY, fairness_key=batch[:64])


def first_message(
    row: Row,
    settings: RunSettings,
    flow: FlowMatch | None,
    turn: Turn | None,
    opening: Opening | None,
) -> OutgoingMessage | None:
    """Return what the first attempt of a row sends in a group; None if it is sent by itself.

    That is a row which must wait for its time or for a lookup of its template. With `one_request`
    every row is sent by itself. Raises the failure of a row that has nothing to send, or wrong
    variables.
    """
    request = row.request
    required = settings.listed_variables.get(request.template or "")
    if problems := variable_problems(required, request.template_variables):
        raise invalid_request(problems)
    is_later = request.send_at is not None and request.send_at > workflow.now()
    if settings.one_request or is_later or (request.template is not None and flow is None):
        return None
    nobody_yet = Contact(to=request.to, contact_id="")
    prepared = Preparation(**dict(settings), opening=opening)
    return outgoing(request, nobody_yet, flow, prepared, turn)


def next_attempt(
    end: RowEnd, settings: RunSettings, flow: FlowMatch | None, opening: Opening | None
) -> Preparation:
    """Return the preparation of a row whose first attempt failed and is to be retried."""
    contact = None
    if end.to and end.contact_id:
        contact = Contact(to=end.to, contact_id=end.contact_id)
    return Preparation(
        to=end.to,
        contact=contact,
        flow=flow,
        failed_lookup=end.failed_lookup,
        failed_send=end.failed_send,
        opening=opening,
        **dict(settings),
    )


async def send_row(
    row: Row,
    gate: RowGate,
    visibility: RowVisibility,
    preparation: Preparation | None,
    turn: Turn | None,
) -> EndedRow | None:
    """Send a row of this batch by itself and return its outcome; does not fail if that fails.

    None if it must start again because its send window is closed, and nothing was sent.
    """
    options = SendOptions(row_activity_id(row.row), row_priority(gate.batch), watched=False)
    try:
        result = await deliver(row.request, visibility, turn, options, preparation)
    except WindowClosed:
        return None if not gate.stopped else EndedRow(cancelled_row(row, gate, visibility.to))
    except (asyncio.CancelledError, FailureError) as error:
        return failed_row(row, gate, error, visibility.to)
    return EndedRow(accepted_row(row, result.to, result.contact_id))


def ended_row(row: Row, gate: RowGate, end: RowEnd) -> EndedRow | None:
    """Return the outcome of a row after its first attempt; None if it is to be tried again.

    A row that did not start, or is to be retried, ends if its part is stopped.
    """
    if end.accepted:
        return EndedRow(accepted_row(row, end.to, end.contact_id))
    failed = end.failure
    may_retry = failed is None or failed.retry_delay_s is not None
    if may_retry and not gate.stopped:
        return None
    if failed is None or (may_retry and failed.details.nothing_sent):
        return failed_row(row, gate, asyncio.CancelledError(), end.to)
    error = failed.error()
    if may_retry:
        since = failed.details.ambiguous_since or utc(workflow.now())
        error = delivery_unknown(failed.details.detail or "no clear answer", since)
    return failed_row(row, gate, error, end.to)


def accepted_row(row: Row, to: str | None, contact_id: str | None) -> RowOutcome:
    """Return the outcome of a row that the provider accepted."""
    return RowOutcome(
        row=row.row,
        key=row.key,
        to=to or row.request.to,
        outcome="accepted",
        contact_id=contact_id,
        finished_at=utc(workflow.now()),
    )


def failed_row(row: Row, gate: RowGate, error: BaseException, to: str | None = None) -> EndedRow:
    """Return the outcome of a row that ended with this error."""
    outcome = outcome_of(error)
    if outcome == "cancelled":
        return EndedRow(cancelled_row(row, gate, to))
    failed = error if isinstance(error, ApplicationError) else None
    ended = RowOutcome(
        row=row.row,
        key=row.key,
        to=to or row.request.to,
        outcome=outcome,
        error_type=failed.type if failed else None,
        error=failed.message if failed else str(error),
        finished_at=utc(workflow.now()),
    )
    return EndedRow(ended, failed is not None and is_lost_worker(failed))


def cancelled_row(row: Row, gate: RowGate, to: str | None = None) -> RowOutcome:
    """Return the outcome of a row that was not sent, because its part stopped or was cancelled."""
    return RowOutcome(
        row=row.row,
        key=row.key,
        to=to or row.request.to,
        outcome="cancelled",
        error_type="Cancelled",
        error=f"Nothing was sent, because {gate.stop_reason or 'it was cancelled'}",
        finished_at=utc(workflow.now()),
    )
