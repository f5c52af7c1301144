"""The progress of a running send: what it waits for, in plain sentences and as fields."""

from datetime import UTC, datetime
from shlex import quote
from typing import Any, Final, Self

from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from temporalio import exceptions
from temporalio.api.enums.v1 import PendingActivityState, PendingWorkflowTaskState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import WorkflowExecutionDescription

from send_whatsapp.client.times import local_time
from send_whatsapp.contract.errors import FailureDetails, failure_details
from send_whatsapp.contract.names import WITHDRAWN
from send_whatsapp.contract.turns import TURN_MEMO

_ACTIONS: Final = {
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
_RUNNING: Final = (
    PendingActivityState.PENDING_ACTIVITY_STATE_STARTED,
    PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED,
)


class Progress(BaseModel):
    """What a running send waits for.

    `summary` (in JSON: `said`) holds everything as text. The other fields describe the pending
    activity and are null if there is none: `attempt` is the current or the next attempt, of
    `attempts` in all (null: no fixed number); `last_failure` says why the previous attempt failed;
    `next_attempt_at` is null while an attempt is running or the activity is paused;
    `retried_until` is known after the first failure.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    summary: str = Field(alias="said")
    activity: str | None = None
    attempt: int | None = None
    attempts: int | None = None
    last_failure: str | None = None
    next_attempt_at: datetime | None = None
    retried_until: datetime | None = None
    paused: bool = False

    @classmethod
    async def of(cls, described: WorkflowExecutionDescription) -> Self:
        """Return the progress of a running send from the server's description of its run."""
        # Contact and template are looked up at the same time: show the one that has trouble.
        pending = max(
            described.raw_description.pending_activities,
            key=lambda activity: (activity.paused, activity.attempt),
            default=None,
        )
        if pending is None:
            waits = await described.memo_value(TURN_MEMO, None)
            return cls(summary=waits or _summary_without_activity(described))
        failure = await _last_failure(described, pending)
        details = _details(failure)
        progress = cls(
            summary="",
            activity=pending.activity_type.name,
            attempt=max(pending.attempt, 1),
            attempts=pending.maximum_attempts or None,
            last_failure=_reason(failure, details) if failure else None,
            retried_until=details.retried_until if details else None,
            paused=pending.paused or pending.state in _PAUSED,
        )
        if not progress.paused and pending.state not in _RUNNING:
            progress.next_attempt_at = _time(pending, "next_attempt_schedule_time")
        progress.summary = _summary(progress, pending, described.id)
        return progress


def _summary(progress: Progress, pending: PendingActivityInfo, workflow_id: str) -> str:
    action = _ACTIONS.get(progress.activity or "", progress.activity)
    of_all = f" of {progress.attempts}" if progress.attempts else ""
    attempt = f"Attempt {progress.attempt}{of_all} to {action}"
    sentences = [f"{attempt} {_attempt_state(progress, pending)}."]
    if progress.last_failure:
        sentences.append(f"The previous attempt {progress.last_failure.rstrip('.')}.")
    if progress.retried_until and progress.retried_until > datetime.now(UTC):
        sentences.append(f"It is retried until {local_time(progress.retried_until)}.")
    if progress.paused and pending.pause_info.manual.reason != WITHDRAWN:
        sentences.append(
            f"To continue, run: temporal activity unpause --workflow-id {quote(workflow_id)}"
            f" --activity-id {quote(pending.activity_id)}"
        )
    return " ".join(sentences)


def _attempt_state(progress: Progress, pending: PendingActivityInfo) -> str:
    if progress.paused:
        by_run = pending.pause_info.manual.reason == WITHDRAWN
        return "is being withdrawn" if by_run else "is paused by an operator"
    if pending.state in _RUNNING:
        started = _time(pending, "last_started_time")
        state = f"has been running since {local_time(started)}" if started else "is running"
        if pending.state == PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED:
            state += "; its cancellation was requested"
        return state
    if progress.next_attempt_at and progress.attempt != 1:
        return f"starts at {local_time(progress.next_attempt_at)}"
    return "starts once a worker is free and CGB_MAX_REQUESTS_PER_MINUTE allows it"


def _summary_without_activity(described: WorkflowExecutionDescription) -> str:
    raw = described.raw_description
    if not raw.HasField("pending_workflow_task"):
        starts = described.execution_time
        if described.history_length <= 2 and starts and starts > described.start_time:
            return f"Waiting until {local_time(starts)}, its time to start."
        return "Waiting for its scheduled time."
    task = raw.pending_workflow_task
    if task.attempt > 2:
        return (
            "Waiting for a worker that can continue the run: its workflow task failed"
            f" {task.attempt - 1} times, and the worker's log says why."
        )
    if task.state == PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_SCHEDULED:
        return "Waiting for a worker."
    return "Waiting for its worker to continue."


async def _last_failure(
    described: WorkflowExecutionDescription, pending: PendingActivityInfo
) -> BaseException | None:
    if not pending.HasField("last_failure"):
        return None
    return await described.data_converter.decode_failure(pending.last_failure)


def _details(failure: BaseException | None) -> FailureDetails | None:
    if not isinstance(failure, exceptions.ApplicationError):
        return None
    try:
        return failure_details(failure)
    except ValidationError:
        return None


def _reason(failure: BaseException, details: FailureDetails | None) -> str:
    """Return why the previous attempt failed, as the rest of "The previous attempt ..."."""
    if isinstance(failure, exceptions.TimeoutError):
        return "did not answer in time, perhaps because its worker was lost"
    if details and details.detail:
        return details.detail
    message = failure.message if isinstance(failure, exceptions.FailureError) else failure
    return f"failed: {message}"


def _time(message: Any, field: str) -> datetime | None:
    if not message.HasField(field):
        return None
    stamp: Timestamp = getattr(message, field)
    return datetime.fromtimestamp(stamp.ToMilliseconds() / 1000, UTC)
