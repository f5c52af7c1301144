"""The status of a batch."""

from collections.abc import AsyncIterator
from typing import Self

from temporalio.client import Client

from send_whatsapp.client.batches.row_outcomes import outcomes_by_part, outcomes_of_run
from send_whatsapp.client.batches.runs import latest_run
from send_whatsapp.client.errors import NotFound
from send_whatsapp.client.state import describe, status_name
from send_whatsapp.contract import names
from send_whatsapp.contract.batch import BatchState, Counts, RowOutcome


class BatchStatus(BatchState):
    """The state of a batch; `running` is true while a row of it may still be sent or end."""

    running: bool

    @classmethod
    def of(cls, state: BatchState, *, running: bool) -> Self:
        """Return the state together with `running`."""
        return cls(**state.model_dump(), running=running)


async def get_status(client: Client, key: str) -> BatchStatus:
    """Return the status of a batch. Raises NotFound, InvalidKey, TemporalUnavailable.

    Works without a running worker. Until a worker has taken the batch, and after the batch was
    terminated, the counts come from the histories of its parts.
    """
    handle = client.get_workflow_handle(names.batch_id(key), result_type=BatchState)
    try:
        described = await describe(client, handle)
    except NotFound:
        raise NotFound(f"no batch has the key {key}") from None
    if described.workflow_type != names.BATCH_WORKFLOW:
        raise NotFound(f"no batch has the key {key}")
    status = status_name(described.status)
    if status == "Completed":
        return BatchStatus.of(await handle.result(), running=False)
    reported = await described.memo_value(names.STATE_MEMO, None, type_hint=BatchState)
    if status == "Running" and reported is not None:
        return BatchStatus.of(reported, running=True)
    return await _status_from_parts(client, key)


async def _status_from_parts(client: Client, key: str) -> BatchStatus:
    run = await latest_run(client, key)
    if run is None:
        raise NotFound(f"no batch has the key {key}")
    request = run.request
    if run.running:
        counts = await _count(outcomes_of_run(client, key, request.generation, query=False))
        # The starter has not started the parts of the missing rows yet.
        counts += Counts(running=max(0, request.planned_rows - counts.total))
    else:
        counts = await _count(outcomes_by_part(client, key))
        counts += Counts(cancelled=max(0, request.planned_rows - counts.total))
    return BatchStatus(
        key=key,
        generation=request.generation,
        counts=counts,
        cancelled=not run.running,
        complete=True,
        part_count=len(request.planned_parts),
        running=run.running or counts.running > 0,
    )


async def _count(parts: AsyncIterator[list[RowOutcome]]) -> Counts:
    counts = Counts()
    async for rows in parts:
        counts += Counts.of(rows)
    return counts
