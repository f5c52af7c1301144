"""What histories show: the time of each step of a send, and its actions at Temporal Cloud."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import mean

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

_TASK_SCHEDULED = EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED
_TASK_STARTED = EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED
_TASK_COMPLETED = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
_ACTIVITY_SCHEDULED = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
_ACTIVITY_STARTED = EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED
_ACTIVITY_COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED

TIMEOUTS = {
    EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
    EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT,
}

_ACTIONS = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED: "start",
    EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: "upserts of search attributes",
    EventType.EVENT_TYPE_TIMER_STARTED: "timers",
    _ACTIVITY_SCHEDULED: "activities",
}


async def events(client: Client, workflow_id: str) -> list[HistoryEvent]:
    """Return the history of a closed run."""
    handle = client.get_workflow_handle(workflow_id)
    return [event async for event in handle.fetch_history_events()]


def breakdown(histories: Sequence[Sequence[HistoryEvent]]) -> dict[str, float]:
    """Return the mean milliseconds of each step, in the order of the steps."""
    steps: dict[str, list[float]] = defaultdict(list)
    for history in histories:
        tasks = 0
        names: dict[int, str] = {}
        since: dict[int, HistoryEvent] = {}
        for event in history:
            match event.event_type:
                case type_ if type_ == _TASK_SCHEDULED:
                    tasks += 1
                    names[event.event_id] = f"workflow task {tasks}"
                    since[event.event_id] = event
                case type_ if type_ == _ACTIVITY_SCHEDULED:
                    scheduled = event.activity_task_scheduled_event_attributes
                    names[event.event_id] = scheduled.activity_type.name
                    since[event.event_id] = event
                case type_ if type_ in (_TASK_STARTED, _ACTIVITY_STARTED):
                    first = _scheduled(event)
                    steps[f"{names[first]} waits"].append(_ms(since[first], event))
                    since[first] = event
                case type_ if type_ in (_TASK_COMPLETED, _ACTIVITY_COMPLETED):
                    first = _scheduled(event)
                    steps[f"{names[first]} runs"].append(_ms(since[first], event))
    found = {step: round(mean(times), 1) for step, times in steps.items()}
    return found | {"start to close": round(mean(_ms(h[0], h[-1]) for h in histories), 1)}


def resolution_seconds(history: Sequence[HistoryEvent]) -> float:
    """Return the seconds from the start of a run until its send was scheduled."""
    send = next(
        event
        for event in history
        if event.event_type == _ACTIVITY_SCHEDULED
        and event.activity_task_scheduled_event_attributes.activity_type.name.startswith("send")
    )
    return _ms(history[0], send) / 1000


def actions(history: Sequence[HistoryEvent]) -> dict[str, int]:
    """Return the number of billable actions of a run, by kind.

    The rules are on Temporal's page "Temporal Cloud Actions". All local activities of one workflow
    task count as one action.
    """
    found: dict[str, int] = defaultdict(int)
    with_markers = set()
    for event in history:
        if kind := _ACTIONS.get(event.event_type):
            found[kind] += 1
        elif event.event_type == EventType.EVENT_TYPE_MARKER_RECORDED:
            marker = event.marker_recorded_event_attributes
            with_markers.add(marker.workflow_task_completed_event_id)
    found["workflow tasks with local activities"] = len(with_markers)
    return dict(found) | {"all": sum(found.values())}


def _scheduled(event: HistoryEvent) -> int:
    """Return the id of the event that scheduled the task which this event starts or completes."""
    if event.event_type == _TASK_STARTED:
        return event.workflow_task_started_event_attributes.scheduled_event_id
    if event.event_type == _TASK_COMPLETED:
        return event.workflow_task_completed_event_attributes.scheduled_event_id
    if event.event_type == _ACTIVITY_STARTED:
        return event.activity_task_started_event_attributes.scheduled_event_id
    return event.activity_task_completed_event_attributes.scheduled_event_id


def _ms(first: HistoryEvent, last: HistoryEvent) -> float:
    return (_time(last.event_time) - _time(first.event_time)).total_seconds() * 1000


def _time(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(UTC)
