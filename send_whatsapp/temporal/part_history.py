"""What became of a part's rows, read from the server: it is told without a worker as well."""

import asyncio
from collections.abc import Iterable
from typing import Any

from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowQueryFailedError,
)
from temporalio.converter import DataConverter
from temporalio.service import RPCError, RPCStatusCode

from send_whatsapp.contract.batch import PartRequest, Row, RowOutcome
from send_whatsapp.contract.errors import RETRYABLE, ErrorType, FailureDetails, utc
from send_whatsapp.contract.names import SEND_ACTIVITIES, row_activity_id
from send_whatsapp.contract.result import Outcome

ANSWERS_WITHIN_S = 5.0

UNKNOWN_ERROR = (
    "Nobody can know whether this row's message went out, since its part was ended from outside"
    " after the send had begun: look for it in the provider's inbox"
)
UNSENT_ERROR = "Nothing was sent, since this row's part was ended from outside before its send"


async def rows_of_part(client: Client, part: str) -> list[Row]:
    """Return the rows a part was given to send; none where there is no such part."""
    try:
        async for event in client.get_workflow_handle(part).fetch_history_events(page_size=1):
            return (await _request(client.data_converter, event)).unpacked()
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
    return []


async def part_outcomes(client: Client, part: str, *, ask: bool = True) -> list[RowOutcome]:
    """Return how each row of a part stands; nothing where there is no such part.

    A running part is asked itself as well, unless it is known that no worker would answer.

    A completed part tells it in its result. Of one that runs or was ended from outside the history
    does: a row whose send had begun and has no answer is unknown, one without a send was not sent.
    """
    handle = client.get_workflow_handle(part, result_type=list[RowOutcome])
    try:
        status = (await handle.describe()).status
        if status == WorkflowExecutionStatus.COMPLETED:
            told_all: list[RowOutcome] = await handle.result()
            return told_all
        running = status == WorkflowExecutionStatus.RUNNING
        events = [event async for event in handle.fetch_history_events()]
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return []
    request = await _request(client.data_converter, events[0])
    begun = any(e.HasField("workflow_task_completed_event_attributes") for e in events)
    ended = await _asked(handle) if ask and running and begun else {}
    closed_at = None if running else utc(events[-1].event_time.ToDatetime())
    told = {row.key: row for row in request.known}
    ends = _sends(events)
    for row in request.unpacked():
        if row.key in ended:
            told[row.key] = ended[row.key]
            continue
        begun = row_activity_id(row.row) in ends
        end = ends.get(row_activity_id(row.row))
        if end is not None:
            outcome, error_type, error_words = _end(end)
            at: str | None = utc(end.event_time.ToDatetime())
        elif running:
            outcome, error_type, error_words, at = "running", None, None, None
        elif begun:
            outcome, error_type, error_words = "unknown", ErrorType.DELIVERY_UNKNOWN, UNKNOWN_ERROR
            at = closed_at
        else:
            outcome, error_type, error_words, at = "cancelled", "Cancelled", UNSENT_ERROR, closed_at
        told[row.key] = RowOutcome(
            row=row.row,
            key=row.key,
            to=row.request.to,
            outcome=outcome,
            error_type=error_type,
            error=error_words,
            finished_at=at,
        )
    return list(told.values())


async def _asked(handle: WorkflowHandle[Any, list[RowOutcome]]) -> dict[str, RowOutcome]:
    """Return what a running part says itself, rows that failed before their send included."""
    try:
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            told: list[RowOutcome] = await handle.query("outcomes", result_type=list[RowOutcome])
    except (RPCError, WorkflowQueryFailedError, TimeoutError):
        return {}
    return {row.key: row for row in told}


async def _request(converter: DataConverter, started: HistoryEvent) -> PartRequest:
    payloads = started.workflow_execution_started_event_attributes.input.payloads
    decoded: list[PartRequest] = await converter.decode(payloads, [PartRequest])
    return decoded[0]


def _sends(events: Iterable[HistoryEvent]) -> dict[str, HistoryEvent | None]:
    """Return the last event of each send by its activity id; None where it has no answer yet."""
    ids: dict[int, str] = {}
    ends: dict[str, HistoryEvent | None] = {}
    for event in events:
        if event.HasField("activity_task_scheduled_event_attributes"):
            begun = event.activity_task_scheduled_event_attributes
            if begun.activity_type.name in SEND_ACTIVITIES:
                ids[event.event_id] = begun.activity_id
                ends[begun.activity_id] = None
            continue
        for ended in (
            event.activity_task_completed_event_attributes,
            event.activity_task_failed_event_attributes,
            event.activity_task_timed_out_event_attributes,
            event.activity_task_canceled_event_attributes,
        ):
            if ended.scheduled_event_id in ids:
                ends[ids[ended.scheduled_event_id]] = event
    return ends


def _end(event: HistoryEvent) -> tuple[Outcome, str | None, str | None]:
    if event.HasField("activity_task_completed_event_attributes"):
        return "accepted", None, None
    failure = event.activity_task_failed_event_attributes.failure
    type_ = failure.application_failure_info.type
    if type_ in set(ErrorType) and _proven(failure):
        return "failed", type_, failure.message
    return "unknown", ErrorType.DELIVERY_UNKNOWN, failure.message or UNKNOWN_ERROR


def _proven(failure: Failure) -> bool:
    """Return whether it is known that nothing was sent."""
    info = failure.application_failure_info
    if info.type not in RETRYABLE:
        return info.type != ErrorType.DELIVERY_UNKNOWN
    try:
        return FailureDetails.model_validate_json(info.details.payloads[0].data).nothing_sent
    except (IndexError, ValueError):
        return False
