"""Batches for starters: begin or go on with one, ask how it stands, and what became of each row."""

import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from pydantic import BaseModel
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from contract import names
from contract.batch import (
    MAX_PART_BYTES,
    MAX_PART_ROWS,
    REJECTED,
    BatchRequest,
    BatchState,
    Chunk,
    Counts,
    PartRequest,
    Row,
    RowOutcome,
)
from contract.errors import ErrorType
from starters import client as sends

UNKNOWN_ERROR = (
    "Nobody can know whether this row's message went out, since its part was ended from outside:"
    " look for it in the provider's inbox"
)


def chunks(rows: list[Row], rejected: list[RowOutcome]) -> list[Chunk]:
    """Return the rows in chunks that no payload or history limit minds.

    `rejected` are rows left out because they are wrong; they are reported and never sent.
    """
    found: list[list[Row]] = [[]]
    size = 0
    for row in rows:
        length = len(row.model_dump_json(by_alias=True))
        if found[-1] and (len(found[-1]) == MAX_PART_ROWS or size + length > MAX_PART_BYTES):
            found.append([])
            size = 0
        found[-1].append(row)
        size += length
    whole = [Chunk(number=n, rows=part, digest=_digest(part)) for n, part in enumerate(found)]
    for start in range(0, len(rejected), 1000):
        left_out = rejected[start : start + 1000]
        number = len(whole)
        whole.append(Chunk(number=number, rows=[], rejected=left_out, digest=_digest(left_out)))
    return whole


async def start(
    client: Client,
    key: str,
    rows: list[Row],
    rejected: list[RowOutcome],
    *,
    resend_unknown: bool = False,
    task_queue: str = names.DEFAULT_TASK_QUEUE,
) -> BatchState:
    """Begin a batch, go on with one whose start broke off, or send what an ended one did not.

    Accepted rows are left alone; unknown ones too, without `resend_unknown`. Returns how the batch
    stands; what is left to do goes on without the caller. Raises KeyConflict where the batch still
    takes other rows, InvalidKey, TemporalUnavailable.
    """
    batch = names.batch_id(key)
    try:
        before = await state(client, key)
    except sends.NotFound:
        before = None
    if before is not None and before[1]:
        return await _hand_over(client, batch, chunks(rows, rejected))
    generation, earlier = 1, list[str]()
    if before is not None:
        generation, earlier = before[0].generation + 1, before[0].parts
        done = {"accepted"} if resend_unknown else {"accepted", "unknown"}
        settled = {o.key for o in await outcomes(client, key) if o.outcome in done}
        rows = [row for row in rows if row.key not in settled]
        if not rows and not rejected:
            return before[0]
    request = BatchRequest(key=key, generation=generation, earlier_parts=earlier)
    try:
        async with sends.answers(client.service_client.config.target_host):
            await client.start_workflow(
                names.BATCH_WORKFLOW,
                request,
                id=batch,
                task_queue=task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                static_summary=f"WhatsApp batch, {len(rows):,} rows",
            )
    except WorkflowAlreadyStartedError:
        pass
    return await _hand_over(client, batch, chunks(rows, rejected))


async def _hand_over(client: Client, batch: str, parts: list[Chunk]) -> BatchState:
    handle = client.get_workflow_handle(batch)
    try:
        for chunk in parts:
            await handle.execute_update(
                "add", chunk, id=f"chunk-{chunk.number}-{chunk.digest}", result_type=int
            )
        stands: BatchState = await handle.execute_update("complete", result_type=BatchState)
        return stands
    except WorkflowUpdateFailedError as error:
        said = error.cause.message if isinstance(error.cause, ApplicationError) else str(error)
        raise sends.KeyConflict(said) from None
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise sends.TemporalUnavailable("Temporal does not answer; run it again") from None
        return (await state(client, batch.removeprefix("batch-")))[0]


async def state(client: Client, key: str) -> tuple[BatchState, bool]:
    """Return how a batch stands, and whether it is running. Raises NotFound."""
    handle = client.get_workflow_handle(names.batch_id(key), result_type=BatchState)
    described = await sends.describe(client, handle)
    running = sends.status_word(described.status) == "Running"
    if not running:
        try:
            ended: BatchState = await handle.result()
            return ended, False
        except WorkflowFailureError:
            pass
    async with sends.answers(client.service_client.config.target_host, within_s=30):
        found: BatchState = await handle.query("state", result_type=BatchState)
        return found, running


async def tell(client: Client, key: str, update: str, *words: Any) -> BatchState:
    """Pause, resume or cancel a running batch. Raises NotFound, KeyConflict where it has ended."""
    found, running = await state(client, key)
    if not running:
        raise sends.KeyConflict(f"the batch {key} has ended: {found.counts.words()}")
    handle = client.get_workflow_handle(names.batch_id(key))
    async with sends.answers(client.service_client.config.target_host, within_s=30):
        told: BatchState = await handle.execute_update(update, *words, result_type=BatchState)
        return told


async def outcomes(client: Client, key: str) -> list[RowOutcome]:
    """Return the present truth of every row, in the order of the file. Raises NotFound.

    A row that a later run of the batch took up again is told by that run.
    """
    found, _ = await state(client, key)
    rows: dict[str, RowOutcome] = {}
    generation = ""
    for part in found.parts:
        if part.rsplit("-", 2)[1] != generation:
            # A later start brings its own list of rows that are wrong.
            generation = part.rsplit("-", 2)[1]
            rows = {k: row for k, row in rows.items() if not k.startswith(REJECTED)}
        async for outcome in _part(client, part):
            rows[outcome.key] = outcome
    return sorted(rows.values(), key=lambda outcome: outcome.row)


async def failed_rows(client: Client, key: str) -> list[Row]:
    """Return the rows that failed or were never sent, as they were asked for."""
    found, _ = await state(client, key)
    again = {o.key for o in await outcomes(client, key) if o.outcome in ("failed", "cancelled")}
    rows: dict[str, Row] = {}
    for part in found.parts:
        for row in await _part_rows(client, part):
            rows[row.key] = row
    return sorted((row for row in rows.values() if row.key in again), key=lambda row: row.row)


def count(rows: list[RowOutcome]) -> Counts:
    """Return the rows by outcome."""
    told = [row.outcome for row in rows]
    return Counts(**{name: told.count(name) for name in Counts.model_fields})  # type: ignore[arg-type]


async def _part(client: Client, part: str) -> AsyncIterator[RowOutcome]:
    handle = client.get_workflow_handle(part, result_type=list[RowOutcome])
    try:
        described = await sends.describe(client, handle)
    except sends.NotFound:
        return
    if sends.status_word(described.status) == "Completed":
        for outcome in await handle.result():
            yield outcome
        return
    running = sends.status_word(described.status) == "Running"
    ended: list[RowOutcome] = await handle.query("outcomes", result_type=list[RowOutcome])
    known = {outcome.key for outcome in ended}
    for outcome in ended:
        yield outcome
    for row in await _part_rows(client, part):
        if row.key not in known:
            yield RowOutcome(
                row=row.row,
                key=row.key,
                to=row.request.to,
                outcome="running" if running else "unknown",
                error_type=None if running else ErrorType.DELIVERY_UNKNOWN,
                error=None if running else UNKNOWN_ERROR,
            )


async def _part_rows(client: Client, part: str) -> list[Row]:
    handle = client.get_workflow_handle(part)
    async for event in handle.fetch_history_events(page_size=1):
        payloads = event.workflow_execution_started_event_attributes.input.payloads
        [request] = await client.data_converter.decode(payloads, [PartRequest])
        return list(request.rows)
    return []


def _digest(rows: Sequence[BaseModel]) -> str:
    body = json.dumps([row.model_dump(mode="json", by_alias=True) for row in rows])
    return hashlib.sha256(body.encode()).hexdigest()[:16]
