"""Sends one row of a part like a single message, and returns its outcome."""

import asyncio
from typing import NamedTuple

from temporalio import workflow
from temporalio.common import Priority
from temporalio.exceptions import ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.preparation import Preparation
    from send_whatsapp.contract.batch import Row, RowOutcome
    from send_whatsapp.contract.errors import outcome_of, utc
    from send_whatsapp.contract.names import row_activity_id
    from workflows.row_gate import RowGate
    from workflows.send_whatsapp import deliver
    from workflows.sending import is_lost_worker
    from workflows.steps import SendOptions
    from workflows.visibility import RowVisibility, count_send

ROW_PRIORITY = 4
"""Below a single send's 2: one urgent message overtakes a running batch."""


class SentRow(NamedTuple):
    """A row's outcome, and whether it is unknown because the worker was lost."""

    outcome: RowOutcome
    worker_was_lost: bool


async def send_row(row: Row, prepared: Preparation, batch: str, gate: RowGate) -> SentRow:
    """Send a row of this batch and return its outcome; does not fail if the send fails."""
    visibility = RowVisibility(row.request)
    priority = Priority(priority_key=ROW_PRIORITY, fairness_key=batch[:64])
    options = SendOptions(row_activity_id(row.row), priority)
    started = workflow.now()
    error_type: str | None = None
    worker_was_lost = False
    try:
        result = await deliver(row.request, visibility, options, prepared)
    except (asyncio.CancelledError, FailureError) as error:
        to = visibility.to or row.request.to
        outcome = outcome_of(error)
        if outcome == "cancelled":
            ended = cancelled_row(row, gate.stop_reason, to)
        else:
            failure = error if isinstance(error, ApplicationError) else None
            error_type = failure.type if failure else None
            worker_was_lost = failure is not None and is_lost_worker(failure)
            ended = RowOutcome(
                row=row.row,
                key=row.key,
                to=to,
                outcome=outcome,
                error_type=error_type,
                error=failure.message if failure else str(error),
                finished_at=utc(workflow.now()),
            )
    else:
        ended = RowOutcome(
            row=row.row,
            key=row.key,
            to=result.to or row.request.to,
            outcome="accepted",
            contact_id=result.contact_id,
            finished_at=utc(workflow.now()),
        )
    count_send(visibility.kind, ended.outcome, error_type, started, row.row)
    return SentRow(ended, worker_was_lost)


def cancelled_row(row: Row, reason: str | None, to: str | None = None) -> RowOutcome:
    """Return the outcome of a row that was not sent, for this reason."""
    return RowOutcome(
        row=row.row,
        key=row.key,
        to=to or row.request.to,
        outcome="cancelled",
        error_type="Cancelled",
        error=f"Nothing was sent, because {reason or 'it was cancelled'}",
        finished_at=utc(workflow.now()),
    )
