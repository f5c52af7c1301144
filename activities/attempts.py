"""What is known of a send's attempts: the word each leaves to the next, and what that proves.

Attempts count from 1 again after an activity reset; the word outlives it (ADR 0002).
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
"""How a send that has not ended stands: proven unsent, on its way, or nobody knows."""

_WAITING = (
    PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED,
    PendingActivityState.PENDING_ACTIVITY_STATE_PAUSED,
)


def record_ambiguity(since: str | None) -> None:
    """Tell the next attempt since when the message may have gone out; None: proven unsent."""
    activity.heartbeat(activity.info().attempt, since)


def ambiguous_since_earlier_attempt() -> str | None:
    """Return since when an earlier attempt may have sent; None where all are proven unsent.

    An attempt that was killed left no word, so silence proves nothing but at the first attempt.
    """
    info = activity.info()
    word = info.heartbeat_details
    if len(word) == 2 and word[1] is not None:
        return str(word[1])
    if _proves(word, info.attempt) or (not word and info.attempt == 1):
        return None
    return utc(info.scheduled_time)


async def hold(activity_id: str) -> SendStatus:
    """Let no further attempt of this send of the activity's own run begin; return how it stands.

    Only a send that is held stands still between the answer and whatever follows from it. Raises
    RPCError where the server does not let it be paused.
    """
    info, client = activity.info(), activity.client()
    run = WorkflowExecution(workflow_id=info.workflow_id or "", run_id=info.workflow_run_id or "")
    request = PauseActivityRequest(
        namespace=client.namespace, execution=run, id=activity_id, reason="withdrawn by the run"
    )
    try:
        await client.workflow_service.pause_activity(request)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        # It has ended in the meantime, and the run is about to hear how.
        return "in_flight"
    handle = client.get_workflow_handle(run.workflow_id, run_id=run.run_id)
    pending = (await handle.describe()).raw_description.pending_activities
    found = next((a for a in pending if a.activity_id == activity_id), None)
    if found is None or found.state not in _WAITING:
        return "in_flight"
    if not found.last_worker_identity:
        return "unsent"
    word = await client.data_converter.decode(found.heartbeat_details.payloads)
    return "unsent" if _proves(word, found.attempt) else "maybe_sent"


def _proves(word: Sequence[Any], attempt: int) -> bool:
    """Return whether the word says that no attempt before this one has sent."""
    return len(word) == 2 and word[1] is None and attempt in (1, word[0] + 1)
