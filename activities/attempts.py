"""What is known about the attempts of a send: what each records for the next, and what it proves.

An operator's reset makes attempts count from 1 again, but keeps what was recorded (ADR 0002).
"""

from collections.abc import Sequence
from typing import Any, Literal

from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflowservice.v1 import PauseActivityRequest
from temporalio.service import RPCError, RPCStatusCode

from send_whatsapp.contract.errors import utc

SendStatus = Literal["unsent", "in_flight", "maybe_sent"]
"""A send that has not ended: proven unsent, with an attempt in flight, or perhaps sent."""

_BETWEEN_ATTEMPTS = (
    PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED,
    PendingActivityState.PENDING_ACTIVITY_STATE_PAUSED,
)


def record_ambiguity(since: str | None) -> None:
    """Record for the next attempt since when the message may have been sent; None: it was not."""
    activity.heartbeat(activity.info().attempt, since)


def recorded_ambiguity() -> str | None:
    """Return since when an earlier attempt may have sent; None if all are proven unsent.

    A killed attempt records nothing. So a missing record proves something only for attempt 1.
    """
    info = activity.info()
    record = info.heartbeat_details
    if len(record) == 2 and record[1] is not None:
        return str(record[1])
    if _proves_unsent(record, info.attempt) or (not record and info.attempt == 1):
        return None
    return utc(info.scheduled_time)


async def stop_retries(activity_id: str) -> SendStatus:
    """Let no further attempt of a send of this activity's own run start; return its status.

    Raises RPCError if the server does not pause the send.
    """
    info, client = activity.info(), activity.client()
    run = WorkflowExecution(workflow_id=info.workflow_id or "", run_id=info.workflow_run_id or "")
    request = PauseActivityRequest(
        namespace=client.namespace, execution=run, id=activity_id, reason="withdrawn by the run"
    )
    # Pause the send first; otherwise a new attempt could start after we read its state.
    try:
        await client.workflow_service.pause_activity(request)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        # It has just ended; its result is on its way to the workflow.
        return "in_flight"
    handle = client.get_workflow_handle(run.workflow_id, run_id=run.run_id)
    pending = (await handle.describe()).raw_description.pending_activities
    send = next((a for a in pending if a.activity_id == activity_id), None)
    if send is None or send.state not in _BETWEEN_ATTEMPTS:
        return "in_flight"
    if not send.last_worker_identity:
        return "unsent"
    record = await client.data_converter.decode(send.heartbeat_details.payloads)
    return "unsent" if _proves_unsent(record, send.attempt) else "maybe_sent"


def _proves_unsent(record: Sequence[Any], attempt: int) -> bool:
    """Return whether the record proves that no attempt before this one has sent."""
    return len(record) == 2 and record[1] is None and attempt in (1, record[0] + 1)
