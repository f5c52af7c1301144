"""The status of a batch."""

import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Self

from temporalio.client import Client

from send_whatsapp.client.batches.row_outcomes import outcomes_by_part, outcomes_of_run
from send_whatsapp.client.batches.runs import latest_run
from send_whatsapp.client.errors import NotFound
from send_whatsapp.client.origin import Origin
from send_whatsapp.client.state import describe, status_name
from send_whatsapp.contract import names
from send_whatsapp.contract.batch import BatchState, Counts, RowOutcome
from send_whatsapp.temporal.connection import rpc


class BatchStatus(BatchState):
    """The state of a batch; `running` is true while a row of it may still be sent or end.

    `seconds_left` is an estimate of the time until all rows have ended; None if nothing tells.
    `origin` says who started the latest run of the batch.
    """

    running: bool
    seconds_left: int | None = None
    origin: Origin = Origin()

    @classmethod
    def of(cls, state: BatchState, *, running: bool, origin: Origin | None = None) -> Self:
        """Return the state together with `running` and an estimate of the time left."""
        seconds_left = _seconds_left(state, datetime.now(UTC)) if running else 0
        fields = state.model_dump(include=set(BatchState.model_fields))
        return cls(**fields, running=running, seconds_left=seconds_left, origin=origin or Origin())


def timing(status: BatchStatus) -> dict[str, Any]:
    """Return what the JSON of starters says about the time that a batch takes."""
    return status.model_dump(
        mode="json",
        by_alias=True,
        include={
            *("in_queue", "retrying", "retry_reason", "outside_window", "window_opens_at"),
            *("send_at", "seconds_left"),
        },
    )


def _seconds_left(state: BatchState, now: datetime) -> int | None:
    """Estimate the time until all rows have ended, from the rate, the start and the speed so far.

    None while a batch is paused, and while neither a rate nor rows that have ended say how fast it
    is.
    """
    if state.paused:
        return None
    seconds_a_row = _seconds_a_row(state, now)
    if seconds_a_row is None:
        return None
    until_start = _until(state.send_at, now) if state.started_at is None else 0.0
    left = until_start + state.counts.running * seconds_a_row
    if state.outside_window:
        until_open = _until(state.window_opens_at, now)
        left = max(left, until_open + state.outside_window * seconds_a_row)
    return math.ceil(left)


def _seconds_a_row(state: BatchState, now: datetime) -> float | None:
    """Return how long a row takes, by the rate or the speed so far; None if nothing tells."""
    known = [60 / state.per_minute] if state.per_minute else []
    ended = state.counts.ended - state.ended_before
    if state.started_at and ended:
        # A night without an open window says nothing about the speed.
        idle_s = state.idle_s
        if state.idle_since:
            idle_s += (now - state.idle_since).total_seconds()
        known.append(max((now - state.started_at).total_seconds() - idle_s, 0) / ended)
    return max(known, default=None)


def _until(time: datetime | None, now: datetime) -> float:
    return max(0.0, (time - now).total_seconds()) if time else 0.0


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
    origin = await Origin.of(described)
    if status == "Completed":
        run = client.get_workflow_handle(handle.id, run_id=described.run_id, result_type=BatchState)
        async with rpc(client):
            # Without following a run that has been started since.
            return BatchStatus.of(await run.result(follow_runs=False), running=False, origin=origin)
    reported = await described.memo_value(names.STATE_MEMO, None, type_hint=BatchState)
    if status == "Running" and reported is not None:
        return BatchStatus.of(reported, running=True, origin=origin)
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
    state = BatchState(
        key=key,
        generation=request.generation,
        counts=counts,
        cancelled=not run.running,
        complete=True,
        per_minute=request.per_minute,
        send_at=request.send_at,
        part_count=len(request.planned_parts),
    )
    running = run.running or counts.running > 0
    return BatchStatus.of(state, running=running, origin=run.origin)


async def _count(parts: AsyncIterator[list[RowOutcome]]) -> Counts:
    counts = Counts()
    async for rows in parts:
        counts += Counts.of(rows)
    return counts
