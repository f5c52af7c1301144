"""What the histories of runs tell: the input of a run, and when and how activities ended."""

from datetime import UTC
from typing import Any, TypeVar

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHandle
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError

from send_whatsapp.contract.attempts import WINDOW_CLOSED
from send_whatsapp.contract.errors import FieldProblem, invalid_request, utc
from send_whatsapp.contract.model import Request

RequestT = TypeVar("RequestT", bound=Request)


async def started_with(
    client: Client, handle: WorkflowHandle[Any, Any], type_: type[RequestT]
) -> RequestT | None:
    """Return the request that a run was started with; None if it is not a valid `type_`.

    A handle without a run id means the latest run. Costs one call to the server: put it inside
    `rpc(client)`. Raises RPCError (NOT_FOUND if no run has the id).
    """
    async for event in handle.fetch_history_events(page_size=1):
        try:
            return await decode_input(client.data_converter, event, type_)
        except ApplicationError:
            return None
    return None


async def decode_input(
    converter: DataConverter, started: HistoryEvent, type_: type[RequestT]
) -> RequestT:
    """Return the request in the first event of a history. Raises the failure `InvalidRequest`."""
    payloads = started.workflow_execution_started_event_attributes.input.payloads
    decoded = await converter.decode(payloads, [type_]) if len(payloads) == 1 else []
    match decoded:
        case [type_() as request]:
            return request
        case [ApplicationError() as invalid]:
            # The contract's converter returns this failure for the input of `SendWhatsApp`.
            raise invalid
    problem = f"has {len(payloads)} arguments that do not make a {type_.__name__}"
    expected = "one JSON object as the only argument"
    raise invalid_request([FieldProblem(field="request", problem=problem, expected=expected)])


def event_time(event: HistoryEvent) -> str:
    """Return the time of an event in UTC, ISO 8601."""
    return utc(event.event_time.ToDatetime(UTC))


def is_window_closed(event: HistoryEvent) -> bool:
    """Return whether this event ends a send that did not begin, because its window had closed."""
    failure = event.activity_task_failed_event_attributes.failure
    return failure.application_failure_info.type == WINDOW_CLOSED


def ended_activity(event: HistoryEvent) -> int:
    """Return the id of the event that scheduled the activity that this event ends; 0 if none."""
    for end in (
        event.activity_task_completed_event_attributes,
        event.activity_task_failed_event_attributes,
        event.activity_task_timed_out_event_attributes,
        event.activity_task_canceled_event_attributes,
    ):
        if end.scheduled_event_id:
            return end.scheduled_event_id
    return 0
