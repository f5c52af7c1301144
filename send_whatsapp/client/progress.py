"""How a running send gets on: what it waits for, in one sentence, as the server knows it."""

from datetime import datetime
from shlex import quote
from typing import Any, Final, Self

from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from temporalio.api.enums.v1 import PendingActivityState, PendingWorkflowTaskState
from temporalio.api.failure.v1 import Failure
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.client import WorkflowExecutionDescription

from send_whatsapp.contract.errors import FailureDetails

_WORDS: Final = {
    "resolve_contact": "resolve the contact",
    "find_flow": "look up the template",
    "send_text": "send the text",
    "send_flow": "send the template",
    "send_file": "send the file",
}
_PAUSED: Final = (
    PendingActivityState.PENDING_ACTIVITY_STATE_PAUSED,
    PendingActivityState.PENDING_ACTIVITY_STATE_PAUSE_REQUESTED,
)
_UNDER_WAY: Final = (
    PendingActivityState.PENDING_ACTIVITY_STATE_STARTED,
    PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED,
)


class Progress(BaseModel):
    """What a running send waits for.

    `said` is the whole of it as a sentence. The rest belongs to the pending activity, the send
    before a lookup, and is null without one: `attempt` is the one under way or to come, of
    `attempts` in all; `last_failure` is why the one before failed; `next_attempt_at` is null while
    an attempt is under way or paused.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    said: str
    activity: str | None = None
    attempt: int | None = None
    attempts: int | None = None
    last_failure: str | None = None
    next_attempt_at: datetime | None = None
    paused: bool = False

    @classmethod
    def of(cls, described: WorkflowExecutionDescription) -> Self:
        """Read it from the server's description of a running send."""
        raw = described.raw_description
        # Contact and template are looked up side by side; the one in trouble is of interest.
        pending = max(raw.pending_activities, key=lambda a: (a.paused, a.attempt), default=None)
        if pending is None:
            return cls(said=_between_activities(described, raw))
        found = cls(
            said="",
            activity=pending.activity_type.name,
            attempt=max(pending.attempt, 1),
            attempts=pending.maximum_attempts or None,
            last_failure=_came(pending.last_failure) if pending.HasField("last_failure") else None,
            paused=pending.paused or pending.state in _PAUSED,
        )
        if not found.paused and pending.state not in _UNDER_WAY:
            found.next_attempt_at = _time(pending, "next_attempt_schedule_time")
        found.said = _sentence(found, pending, described.id)
        return found


def _sentence(found: Progress, pending: PendingActivityInfo, workflow_id: str) -> str:
    of = f" of {found.attempts}" if found.attempts else ""
    words = f"to {_WORDS.get(found.activity or '', found.activity)}: attempt {found.attempt}{of}"
    because = f", because the one before {found.last_failure}" if found.last_failure else ""
    if found.paused:
        return (
            f"{words}{because}; paused by an operator, to go on: temporal activity unpause"
            f" --workflow-id {quote(workflow_id)} --activity-id {quote(pending.activity_id)}"
        )
    if pending.state in _UNDER_WAY:
        began = _time(pending, "last_started_time")
        words += f" under way since {clock(began)}" if began else " under way"
        if pending.state == PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED:
            words += " and asked to stop"
    elif found.next_attempt_at and found.attempt != 1:
        words += f" at {clock(found.next_attempt_at)}"
    else:
        words += " once a worker is free and CGB_MAX_REQUESTS_PER_MINUTE allows it"
    return words + because


def _between_activities(
    described: WorkflowExecutionDescription, raw: DescribeWorkflowExecutionResponse
) -> str:
    task = raw.pending_workflow_task if raw.HasField("pending_workflow_task") else None
    begins = described.execution_time
    if task is None:
        delayed = described.history_length <= 2 and begins and begins > described.start_time
        return f"until {clock(begins)}" if delayed and begins else "for its time to send"
    if task.attempt > 2:
        return (
            f"for a worker that can go on: its workflow task failed {task.attempt - 1} times,"
            " the worker's log says why"
        )
    if task.state == PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_SCHEDULED:
        return "for a worker"
    return "for its worker to go on"


def _came(failure: Failure) -> str:
    """Return what became of an attempt, in words that follow "the one before"."""
    if failure.HasField("timeout_failure_info"):
        return "gave no answer in time (was its worker lost?)"
    payloads = failure.application_failure_info.details.payloads
    try:
        details = FailureDetails.model_validate_json(payloads[0].data) if payloads else None
    except ValidationError:
        details = None
    return details.detail if details and details.detail else f"failed: {failure.message}"


def _time(message: Any, field: str) -> datetime | None:
    if not message.HasField(field):
        return None
    stamp: Timestamp = getattr(message, field)
    return datetime.fromtimestamp(stamp.ToMilliseconds() / 1000).astimezone()


def clock(time: datetime) -> str:
    """Return a time as an operator reads it: this machine's zone, the day only if not today's."""
    local = time.astimezone()
    today = local.date() == datetime.now().astimezone().date()
    return local.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S")
