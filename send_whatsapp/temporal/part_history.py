"""How the rows of a part ended, read from the Temporal server. Works without a running worker."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowQueryFailedError,
)
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError, FailureError
from temporalio.service import RPCError, RPCStatusCode

from send_whatsapp.contract.batch import Row, RowOutcome
from send_whatsapp.contract.errors import RETRYABLE, ErrorType, failure_details, outcome_of
from send_whatsapp.contract.names import SEND_ACTIVITIES, row_activity_id
from send_whatsapp.contract.parts import PartRequest
from send_whatsapp.contract.result import Outcome
from send_whatsapp.temporal.group_history import GroupedRow, rows_of_groups
from send_whatsapp.temporal.history import (
    decode_input,
    ended_activity,
    event_time,
    is_window_closed,
    started_with,
)

QUERY_TIMEOUT_S = 5.0

UNKNOWN_ERROR = (
    "Nobody can know whether the message of this row was sent, because its part was ended from"
    " outside after the send had started: look for it in the provider's inbox"
)
UNSENT_ERROR = "Nothing was sent, because the part of this row was ended from outside before"


class _End(NamedTuple):
    outcome: Outcome
    error_type: str | None = None
    error: str | None = None
    at: str | None = None


async def rows_of_part(client: Client, part: str) -> list[Row]:
    """Return the rows that a part must send; empty if the part does not exist."""
    try:
        request = await started_with(client, client.get_workflow_handle(part), PartRequest)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return []
    return request.unpacked() if request else []


async def part_outcomes(client: Client, part: str, *, query: bool = True) -> list[RowOutcome]:
    """Return the outcome of each row of a part so far; empty if the part does not exist.

    A completed part has them in its result. Those of any other part follow from its history and its
    pending groups: a row whose send started but has no end is unknown, a row without a send was not
    sent. Only a running part knows of rows that failed before their send, so it is queried too;
    `query=False` saves that if no worker would answer.
    """
    handle = client.get_workflow_handle(part, result_type=list[RowOutcome])
    try:
        description = await handle.describe()
        status = description.status
        if status == WorkflowExecutionStatus.COMPLETED:
            result: list[RowOutcome] = await handle.result()
            return result
        events = [event async for event in handle.fetch_history_events()]
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return []
    running = status == WorkflowExecutionStatus.RUNNING
    # A query of a part that no worker has taken yet would wait in vain.
    taken = any(e.HasField("workflow_task_completed_event_attributes") for e in events)
    reported = await _query(handle) if query and running and taken else {}
    pending = description.raw_description.pending_activities
    return await outcomes_in_history(
        client.data_converter, events, pending, reported, running=running
    )


async def outcomes_in_history(
    converter: DataConverter,
    events: Sequence[HistoryEvent],
    pending: Iterable[PendingActivityInfo],
    reported: Mapping[str, RowOutcome],
    *,
    running: bool,
) -> list[RowOutcome]:
    """Return the outcome of each row, from events and activities that were pending before them.

    `reported` outcomes, by key, win.
    """
    request = await decode_input(converter, events[0], PartRequest)
    closed_at = None if running else event_time(events[-1])
    sends = _sends(events)
    groups = await rows_of_groups(converter, events, pending)
    outcomes = list(request.known)
    for row in request.unpacked():
        if row.key in reported:
            outcomes.append(reported[row.key])
            continue
        id_ = row_activity_id(row.row)
        group = groups.get(row.row)
        if last_event := sends.get(id_):
            end = await _end_of_send(converter, last_event)
        elif id_ in sends:
            end = _without_end(closed_at, maybe_sent=True)
        else:
            end = _end_in_group(group, closed_at)
        outcomes.append(
            RowOutcome(
                row=row.row,
                key=row.key,
                to=(group.end.to if group else None) or row.request.to,
                outcome=end.outcome,
                contact_id=group.end.contact_id if group and end.outcome == "accepted" else None,
                error_type=end.error_type,
                error=end.error,
                finished_at=end.at,
            )
        )
    return outcomes


async def _query(handle: WorkflowHandle[Any, list[RowOutcome]]) -> dict[str, RowOutcome]:
    """Return the rows that have ended by key, according to the part itself."""
    try:
        async with asyncio.timeout(QUERY_TIMEOUT_S):
            rows: list[RowOutcome] = await handle.query("outcomes", result_type=list[RowOutcome])
    except (RPCError, WorkflowQueryFailedError, TimeoutError):
        return {}
    return {row.key: row for row in rows}


def _sends(events: Iterable[HistoryEvent]) -> dict[str, HistoryEvent | None]:
    """Return the last event of each send that started, by activity id; None: it has not ended.

    A send that did not begin in its send window has not started.
    """
    ids: dict[int, str] = {}
    sends: dict[str, HistoryEvent | None] = {}
    for event in events:
        if event.HasField("activity_task_scheduled_event_attributes"):
            scheduled = event.activity_task_scheduled_event_attributes
            if scheduled.activity_type.name in SEND_ACTIVITIES:
                ids[event.event_id] = scheduled.activity_id
                sends[scheduled.activity_id] = None
            continue
        if (ended := ended_activity(event)) in ids:
            sends[ids[ended]] = event
            if is_window_closed(event):
                del sends[ids[ended]]
    return sends


async def _end_of_send(converter: DataConverter, event: HistoryEvent) -> _End:
    if event.HasField("activity_task_completed_event_attributes"):
        return _End("accepted", at=event_time(event))
    message = UNKNOWN_ERROR
    if event.HasField("activity_task_failed_event_attributes"):
        error = await converter.decode_failure(event.activity_task_failed_event_attributes.failure)
        if isinstance(error, ApplicationError) and _is_clear(error):
            return _End(outcome_of(error), error.type, error.message, event_time(event))
        message = error.message if isinstance(error, FailureError) else str(error)
    return _End("unknown", ErrorType.DELIVERY_UNKNOWN, message, event_time(event))


def _is_clear(error: ApplicationError) -> bool:
    """Return whether the failure of a send says by itself what became of the message."""
    if error.type not in RETRYABLE:
        return error.type in set(ErrorType)
    return bool(error.details) and failure_details(error).nothing_sent


def _end_in_group(group: GroupedRow | None, closed_at: str | None) -> _End:
    """Return the outcome of a row that was never sent by itself, only in a group or not at all."""
    if group is None:
        return _without_end(closed_at, maybe_sent=False)
    if group.end.accepted:
        return _End("accepted", at=group.end.accepted.at)
    failed = group.end.failure
    if failed is None:
        maybe_sent = group.maybe_sent and not group.end.window_closed
        return _without_end(closed_at, maybe_sent=maybe_sent)
    if failed.retry_delay_s is not None:
        return _without_end(closed_at, maybe_sent=not failed.details.nothing_sent)
    at = group.end.failed_at or group.at
    return _End(outcome_of(failed.error()), failed.type, failed.message, at)


def _without_end(closed_at: str | None, *, maybe_sent: bool) -> _End:
    """Return the outcome of a row whose send has no end in a part that runs or closed then."""
    if closed_at is None:
        return _End("running")
    if maybe_sent:
        return _End("unknown", ErrorType.DELIVERY_UNKNOWN, UNKNOWN_ERROR, closed_at)
    return _End("cancelled", "Cancelled", UNSENT_ERROR, closed_at)
