"""The list of batches: the latest run of each key."""

from datetime import datetime

from temporalio.client import Client, WorkflowExecution

from send_whatsapp.client.batches.status import BatchStatus, get_status
from send_whatsapp.client.links import ui_link
from send_whatsapp.client.newest import newest
from send_whatsapp.client.state import status_name
from send_whatsapp.contract import names
from send_whatsapp.contract.batch import BatchModel, BatchState, Counts
from send_whatsapp.contract.result import Outcome
from send_whatsapp.temporal.connection import rpc

LIST_TIMEOUT_S = 60.0


class ListedBatch(BatchModel):
    """One batch in the list; `status` is Temporal's, `outcome` that of all rows together."""

    key: str
    status: str
    outcome: Outcome
    paused: bool
    counts: Counts
    started_at: datetime
    ui_url: str | None


async def list_batches(client: Client, limit: int, ui_url: str) -> list[ListedBatch]:
    """Return at most `limit` batches, those that started last first; `ui_url` is the Web UI's.

    Raises TemporalUnavailable.
    """
    seen: set[str] = set()

    async def listed(run: WorkflowExecution) -> ListedBatch | None:
        # The runs of one key follow each other, so its latest run is listed first.
        key = names.batch_key(run.id)
        if not key or key in seen:
            return None
        seen.add(key)
        state = await _state(client, run, key)
        return ListedBatch(
            key=key,
            status=status_name(run.status),
            outcome="running" if state.running else state.counts.outcome,
            paused=state.paused and state.running,
            counts=state.counts,
            started_at=run.start_time,
            ui_url=ui_link(ui_url, client.namespace, run.id, run.run_id),
        )

    query = f"WorkflowType = '{names.BATCH_WORKFLOW}' AND ExecutionStatus != 'ContinuedAsNew'"
    async with rpc(client, LIST_TIMEOUT_S):
        return await newest(client, query, limit, listed)


async def _state(client: Client, run: WorkflowExecution, key: str) -> BatchStatus:
    reported = await run.memo_value(names.STATE_MEMO, None, type_hint=BatchState)
    status = status_name(run.status)
    if reported is None or status not in ("Running", "Completed"):
        return await get_status(client, key)
    return BatchStatus.of(reported, running=status == "Running")
