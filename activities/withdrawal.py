"""Stopping an activity of the own run, and ending attempts whose worker is lost.

Both read what the server knows about the pending activities of the run.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio import activity
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.common.v1 import RetryPolicy, WorkflowExecution
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import (
    PauseActivityRequest,
    UnpauseActivityRequest,
    UpdateActivityOptionsRequest,
)
from temporalio.service import RPCError, RPCStatusCode

from send_whatsapp.contract.attempts import AttemptRecord
from send_whatsapp.contract.names import WITHDRAWN

SendStatus = Literal["unsent", "in_flight", "maybe_sent"]
"""A send that has not ended: proven unsent, with an attempt in flight, or perhaps sent."""

_BETWEEN_ATTEMPTS = (
    PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED,
    PendingActivityState.PENDING_ACTIVITY_STATE_PAUSED,
)

OVERDUE = timedelta(seconds=2)
"""An attempt that has outlived its start-to-close timeout by this much has lost its timer."""


async def stop_retries(activity_id: str) -> SendStatus:
    """Let no further attempt of a send of this activity's own run start; return its status.

    Raises RPCError if the server does not pause the send.
    """
    send = await stop_attempts(activity_id)
    if send is None:
        return "in_flight"
    if not send.last_worker_identity:
        return "unsent"
    details = await activity.client().data_converter.decode(send.heartbeat_details.payloads)
    record = AttemptRecord.model_validate(details[0]) if details else AttemptRecord()
    complete = send.attempt in (1, record.attempt + 1)
    return "unsent" if details and complete and not record.ambiguous_since else "maybe_sent"


async def stop_attempts(activity_id: str) -> PendingActivityInfo | None:
    """Let no further attempt of an activity of this run start; return what the server knows of it.

    None if an attempt is in flight, or the activity has just ended: its end tells everything. The
    failure of an attempt in flight is the last one. Raises RPCError if the server refuses.
    """
    pending = await pending_activity(activity_id)
    if pending is None:
        return None
    try:
        # An attempt may fail at any moment; then the server must not wait for the next one, whose
        # cancellation would hide the failure.
        await _limit_attempts(activity_id, pending.attempt)
        return await _stopped_between_attempts(activity_id)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return None


async def _stopped_between_attempts(activity_id: str) -> PendingActivityInfo | None:
    """Pause an activity that waits for its next attempt, and return it.

    While an activity is paused the server ignores its timeouts, so that an attempt in flight would
    stay open forever if its worker died.
    """
    pending = await pending_activity(activity_id)
    if pending is None or pending.state not in _BETWEEN_ATTEMPTS:
        return None
    # Pause before reading the record; otherwise a new attempt could start after it was read.
    await _pause(activity_id)
    pending = await pending_activity(activity_id)
    if pending is not None and pending.state not in _BETWEEN_ATTEMPTS:
        # An attempt started just before the pause. Its timeouts must count.
        await _unpause(activity_id)
        return None
    return pending


async def end_overdue_attempts() -> None:
    """Make the server time out attempts of this run that have outlived their timeout.

    The server drops the timer of an attempt that is paused when its timeout passes, and does not
    create it again when the attempt is resumed (seen in 1.31.2). New options create it.
    """
    for pending in await _pending_activities():
        in_flight = pending.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
        started = pending.last_started_time.ToDatetime(tzinfo=UTC)
        timeout = pending.activity_options.start_to_close_timeout
        overdue = started + timeout.ToTimedelta() + OVERDUE
        if in_flight and not pending.paused and datetime.now(UTC) > overdue:
            await _renew_timeout(pending.activity_id, timeout)


async def pending_activity(activity_id: str) -> PendingActivityInfo | None:
    """Return what the server knows of an activity of this run; None if it has ended."""
    pending = await _pending_activities()
    return next((each for each in pending if each.activity_id == activity_id), None)


async def _pending_activities() -> Sequence[PendingActivityInfo]:
    run = _own_run()
    handle = activity.client().get_workflow_handle(run.workflow_id, run_id=run.run_id)
    return (await handle.describe()).raw_description.pending_activities


async def _renew_timeout(activity_id: str, start_to_close: Duration) -> None:
    options = ActivityOptions(start_to_close_timeout=start_to_close)
    await _update_options(activity_id, options, "start_to_close_timeout")


async def _limit_attempts(activity_id: str, attempts: int) -> None:
    options = ActivityOptions(retry_policy=RetryPolicy(maximum_attempts=max(attempts, 1)))
    await _update_options(activity_id, options, "retry_policy.maximum_attempts")


async def _update_options(activity_id: str, options: ActivityOptions, changed: str) -> None:
    client = activity.client()
    await client.workflow_service.update_activity_options(
        UpdateActivityOptionsRequest(
            namespace=client.namespace,
            execution=_own_run(),
            id=activity_id,
            activity_options=options,
            update_mask=FieldMask(paths=[changed]),
        )
    )


def _own_run() -> WorkflowExecution:
    info = activity.info()
    return WorkflowExecution(workflow_id=info.workflow_id or "", run_id=info.workflow_run_id or "")


async def _pause(activity_id: str) -> None:
    client = activity.client()
    await client.workflow_service.pause_activity(
        PauseActivityRequest(
            namespace=client.namespace,
            execution=_own_run(),
            id=activity_id,
            reason=WITHDRAWN,
        )
    )


async def _unpause(activity_id: str) -> None:
    client = activity.client()
    await client.workflow_service.unpause_activity(
        UnpauseActivityRequest(namespace=client.namespace, execution=_own_run(), id=activity_id)
    )
