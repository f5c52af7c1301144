"""Withdrawing a send, and ending an attempt whose worker is lost.

Both read what the server knows about a pending send of the activity's own run.
"""

from datetime import UTC, datetime, timedelta
from typing import Literal

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio import activity
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import (
    PauseActivityRequest,
    UnpauseActivityRequest,
    UpdateActivityOptionsRequest,
)
from temporalio.service import RPCError, RPCStatusCode

from activities.attempts import AttemptRecord
from send_whatsapp.contract.names import WITHDRAWN

SendStatus = Literal["unsent", "in_flight", "maybe_sent"]
"""A send that has not ended: proven unsent, with an attempt in flight, or perhaps sent."""

_BETWEEN_ATTEMPTS = (
    PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED,
    PendingActivityState.PENDING_ACTIVITY_STATE_PAUSED,
)

OVERDUE_S = 2.0
"""An attempt that has outlived its start-to-close timeout by this much has lost its timer."""


async def stop_retries(activity_id: str) -> SendStatus:
    """Let no further attempt of a send of this activity's own run start; return its status.

    Pauses only a send between two attempts: while a send is paused the server ignores its timeouts,
    so that an attempt in flight would stay open forever if its worker died. Raises RPCError if the
    server does not pause the send.
    """
    send = await _pending(activity_id)
    if send is None or send.state not in _BETWEEN_ATTEMPTS:
        return "in_flight"
    # Pause before reading the record; otherwise a new attempt could start after it was read.
    try:
        await _pause(activity_id)
        send = await _pending(activity_id)
        if send is not None and send.state not in _BETWEEN_ATTEMPTS:
            # An attempt started just before the pause. Its timeouts must count.
            await _unpause(activity_id)
            return "in_flight"
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        send = None
    if send is None:
        # It has just ended; its result is on its way to the workflow.
        return "in_flight"
    if not send.last_worker_identity:
        return "unsent"
    details = await activity.client().data_converter.decode(send.heartbeat_details.payloads)
    record = AttemptRecord.model_validate(details[0]) if details else AttemptRecord()
    complete = send.attempt in (1, record.attempt + 1)
    return "unsent" if details and complete and not record.ambiguous_since else "maybe_sent"


async def end_overdue_attempt(activity_id: str, start_to_close_s: float) -> None:
    """Make the server time out an attempt that has outlived its start-to-close timeout.

    The server drops the timer of an attempt that is paused when its timeout passes, and does not
    create it again when the attempt is resumed (seen in 1.31.2). New options create it.
    """
    send = await _pending(activity_id)
    if send is None or send.paused:
        return
    in_flight = send.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
    started = send.last_started_time.ToDatetime(tzinfo=UTC)
    overdue = timedelta(seconds=start_to_close_s + OVERDUE_S)
    if in_flight and datetime.now(UTC) > started + overdue:
        client, timeout = activity.client(), Duration()
        timeout.FromTimedelta(timedelta(seconds=start_to_close_s))
        await client.workflow_service.update_activity_options(
            UpdateActivityOptionsRequest(
                namespace=client.namespace,
                execution=_own_run(),
                id=activity_id,
                activity_options=ActivityOptions(start_to_close_timeout=timeout),
                update_mask=FieldMask(paths=["start_to_close_timeout"]),
            )
        )


def _own_run() -> WorkflowExecution:
    info = activity.info()
    return WorkflowExecution(workflow_id=info.workflow_id or "", run_id=info.workflow_run_id or "")


async def _pending(activity_id: str) -> PendingActivityInfo | None:
    run = _own_run()
    handle = activity.client().get_workflow_handle(run.workflow_id, run_id=run.run_id)
    pending = (await handle.describe()).raw_description.pending_activities
    return next((each for each in pending if each.activity_id == activity_id), None)


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
