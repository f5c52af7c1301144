"""Starting a batch: the run first, since its workflow id locks the key, then its parts."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain

from pydantic import BaseModel
from temporalio.client import Client
from temporalio.common import (
    Priority,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from send_whatsapp.client.batches.packed_rows import AnyRows, PackedRows
from send_whatsapp.client.batches.restarts import is_sending, plan_restart
from send_whatsapp.client.batches.row_outcomes import PARTS_AT_ONCE, outcomes_up_to
from send_whatsapp.client.batches.runs import BatchRun, end_parts, latest_run
from send_whatsapp.client.batches.status import get_status
from send_whatsapp.client.errors import KeyConflict
from send_whatsapp.client.start_attributes import of_part, start_with_attributes
from send_whatsapp.contract import names
from send_whatsapp.contract.batch import BatchState, Counts, RowOutcome
from send_whatsapp.contract.fields import Time
from send_whatsapp.contract.parts import BatchInput, PartRequest, split
from send_whatsapp.temporal.connection import rpc

PRIORITY = Priority(priority_key=4)
"""Priority of the workflow tasks of batches and parts, below that of single sends."""


class BatchLimits(BaseModel):
    """When and how fast rows are sent, and how many failures in a row pause the batch.

    `in_flight` rows at once, `per_minute` rows a minute (None: no limit), none before `send_at`.
    """

    in_flight: int = 100
    per_minute: int | None = None
    pause_after: int = 20
    send_at: Time | None = None


async def start(
    client: Client,
    key: str,
    rows: AnyRows,
    invalid: list[RowOutcome],
    *,
    resend_unknown: bool = False,
    is_whole_file: bool = True,
    limits: BatchLimits | None = None,
    task_queue: str = names.DEFAULT_TASK_QUEUE,
) -> BatchState:
    """Start a batch, finish a start that was interrupted, or send what an ended batch did not.

    `invalid` are the outcomes of invalid rows; they are reported and never sent. Accepted rows are
    not sent again, unknown ones only with `resend_unknown`. Nothing is sent before every row has
    reached Temporal; then the batch needs no caller. `is_whole_file=False` means that `rows`
    are some rows of the latest file; the others keep their place in the report.

    Raises KeyConflict if a batch with other rows is running, there is nothing to send, or the id
    belongs to another workflow; InvalidKey, TemporalUnavailable.
    """
    packed = _packed(rows)
    digest = packed.digest(invalid)
    previous = await latest_run(client, key)
    if is_sending(previous, key, digest):
        return await get_status(client, key)
    known = await _known_outcomes(client, key, previous)
    plan = plan_restart(
        previous, packed, invalid, known, resend_unknown=resend_unknown, is_whole_file=is_whole_file
    )
    if plan is None:
        return await get_status(client, key)
    limits = limits or BatchLimits()
    to_send = _packed(plan.rows)
    known_parts = split([], plan.known)
    counts = [*to_send.counts, *(part.counts for part in known_parts)]
    if not counts:
        raise KeyConflict(f"the batch {key} has no rows")
    is_running = previous is not None and previous.running
    if previous and is_running and counts != previous.request.parts:
        raise KeyConflict(
            f"the batch {key} is running and was started with other options: wait for it first"
        )
    request = BatchInput(
        key=key,
        generation=plan.generation,
        digest=digest,
        parts=counts,
        templates=to_send.templates,
        **limits.model_dump(),
    )
    await _start_run(client, request, task_queue)
    await _start_parts(
        client, request, chain(to_send.parts(limits.send_at), known_parts), task_queue
    )
    if is_running:
        return await get_status(client, key)
    return BatchState(
        key=key,
        generation=plan.generation,
        counts=sum(request.parts, Counts()),
        complete=True,
        per_minute=request.per_minute,
        send_at=request.send_at,
        ended_before=sum(part.ended for part in counts),
        part_count=len(counts),
    )


def _packed(rows: AnyRows) -> PackedRows:
    return rows if isinstance(rows, PackedRows) else PackedRows(rows)


async def _known_outcomes(client: Client, key: str, previous: BatchRun | None) -> list[RowOutcome]:
    """Stop the parts of a closed run, then return the outcomes so far."""
    if previous is None:
        return []
    request = previous.request
    if previous.running:
        # The interrupted start was planned from earlier runs only.
        return await outcomes_up_to(client, key, request.generation - 1)
    await end_parts(client, previous)
    return await outcomes_up_to(client, key, request.generation, request.planned_rows)


async def _start_run(client: Client, request: BatchInput, task_queue: str) -> None:
    """Start the run unless it is running already. Raises KeyConflict if another one is."""
    key = request.key
    try:
        async with rpc(client):
            await client.start_workflow(
                names.BATCH_WORKFLOW,
                request,
                id=names.batch_id(key),
                task_queue=task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                static_summary=f"WhatsApp batch, {_rows_to_send(request):,} rows",
                priority=PRIORITY,
            )
    except WorkflowAlreadyStartedError:
        run = await latest_run(client, key)
        if run is None or (run.request.digest, run.request.generation) != (
            request.digest,
            request.generation,
        ):
            raise KeyConflict(f"someone else has just started the batch {key}") from None


def _rows_to_send(request: BatchInput) -> int:
    return sum(part.running for part in request.parts)


async def _start_parts(
    client: Client, request: BatchInput, parts: Iterable[PartRequest], task_queue: str
) -> None:
    """Start each part, unless an interrupted start has done it, then let the batch send."""
    batch = names.batch_id(request.key)
    numbered = enumerate(parts)

    async def start_part(number: int, part: PartRequest) -> None:
        async def start(attributes: TypedSearchAttributes) -> None:
            async with rpc(client):
                await client.start_workflow(
                    names.PART_WORKFLOW,
                    part,
                    id=names.part_id(batch, request.generation, number),
                    task_queue=task_queue,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    static_summary=f"Part {number} of batch {request.key}",
                    priority=PRIORITY,
                    search_attributes=attributes,
                )

        with suppress(WorkflowAlreadyStartedError):
            await start_with_attributes(client, of_part(part), start)

    async def start_next_parts() -> None:
        # All of these loops take from one iterator, so that few parts are unpacked at once.
        for number, part in numbered:
            await start_part(number, part)

    loops = [asyncio.create_task(start_next_parts()) for _ in range(PARTS_AT_ONCE)]
    try:
        await asyncio.gather(*loops)
    finally:
        # If a part cannot be started, no later one is started either.
        for loop in loops:
            loop.cancel()
    # The batch may have been cancelled meanwhile; then it needs no signal.
    with suppress(RPCError):
        async with rpc(client):
            # A signal rather than an update: it needs no worker.
            await client.get_workflow_handle(batch).signal(names.COMPLETE_SIGNAL)
