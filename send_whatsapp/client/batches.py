"""Batches for starters: begin or go on with one, ask how it stands, and what became of each row."""

import asyncio
import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Self

from pydantic import BaseModel
from temporalio.client import Client, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.common import Priority, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from send_whatsapp.client.errors import KeyConflict, NotFound
from send_whatsapp.client.state import describe, status_name
from send_whatsapp.contract import names
from send_whatsapp.contract.batch import (
    REJECTED,
    BatchRequest,
    BatchState,
    Counts,
    PartControl,
    PartRequest,
    PerMinuteUpdate,
    Row,
    RowOutcome,
    split,
)
from send_whatsapp.temporal.connection import TemporalUnavailable, rpc
from send_whatsapp.temporal.part_history import part_outcomes, rows_of_part

PRIORITY = Priority(priority_key=4)
"""Of a batch's own workflow tasks, below a single send's."""

REPORT_COLUMNS = ("row", "to", "outcome", "contactId", "errorType", "error", "finishedAt")

AT_ONCE = 10
LAST_WORD = 2**31
ENDS_WITHIN_S = 60.0
UPDATE_TIMEOUT_S = 20.0


class BatchLimits(BaseModel):
    """How fast a batch goes: rows in flight, rows begun a minute, and failures that pause it."""

    in_flight: int = 100
    per_minute: int | None = None
    pause_after: int = 20


async def start(
    client: Client,
    key: str,
    rows: list[Row],
    rejected: list[RowOutcome],
    *,
    resend_unknown: bool = False,
    whole: bool = True,
    limits: BatchLimits | None = None,
    task_queue: str = names.DEFAULT_TASK_QUEUE,
) -> BatchState:
    """Begin a batch, go on with one whose start broke off, or send what an ended one did not.

    `rejected` are rows left out because they are wrong; they are reported and never sent. Accepted
    rows are left alone; unknown ones too, without `resend_unknown`. Nothing goes out before every
    row is handed over; then it goes on without the caller. Rows that are not the `whole` file leave
    the places of the others as they are. Raises KeyConflict where the batch still sends other rows
    or its id belongs to something else, InvalidKey, TemporalUnavailable.
    """
    digest = _digest(rows, rejected)
    batch = names.batch_id(key)
    before = await _latest(client, key)
    if before is not None and before.running:
        if before.request.digest != digest:
            raise KeyConflict(
                f"the batch {key} still sends other rows: wait for it, or cancel it first"
            )
        if before.request.carried is not None:
            return await get_status(client, key)
        generation = before.request.generation
    else:
        generation = before.request.generation + 1 if before else 1
    known = list(rejected)
    if before is not None and not before.running:
        await _wound_up(client, key, before.request)
    if generation > 1:
        ended = before.request.rows_planned if before and not before.running else None
        told = await _outcomes(client, key, generation - 1, ended)
        rows, settled = _settled(rows, told, resend_unknown=resend_unknown, whole=whole)
        known += settled
        if not rows and before and not before.running and _told(known) == _told(told):
            return await get_status(client, key)  # nothing to send, and nothing to tell anew
    parts = split(rows, known)
    if not parts:
        raise KeyConflict(f"the batch {key} has no rows")
    request = BatchRequest(
        key=key,
        generation=generation,
        digest=digest,
        parts=[part.counts for part in parts],
        templates=list(dict.fromkeys(r.request.template for r in rows if r.request.template)),
        **(limits or BatchLimits()).model_dump(),
    )
    try:
        async with rpc(client):
            await client.start_workflow(
                names.BATCH_WORKFLOW,
                request,
                id=batch,
                task_queue=task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                static_summary=f"WhatsApp batch, {len(rows):,} rows",
                priority=PRIORITY,
            )
    except WorkflowAlreadyStartedError:
        now = await _latest(client, key)
        if now is None or now.request.digest != digest or now.request.generation != generation:
            raise KeyConflict(f"the batch {key} was started by someone else") from None
    return await _hand_over(client, key, generation, parts, task_queue)


async def _hand_over(
    client: Client, key: str, generation: int, parts: list[PartRequest], task_queue: str
) -> BatchState:
    batch = names.batch_id(key)
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, part: PartRequest) -> None:
        async with gate:
            try:
                async with rpc(client):
                    await client.start_workflow(
                        names.PART_WORKFLOW,
                        part,
                        id=names.part_id(batch, generation, number),
                        task_queue=task_queue,
                        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                        static_summary=f"Part {number} of batch {key}",
                        priority=PRIORITY,
                    )
            except WorkflowAlreadyStartedError:
                # Handed over by a start of this batch that broke off.
                pass

    await asyncio.gather(*(one(number, part) for number, part in enumerate(parts)))
    with suppress(RPCError):
        async with rpc(client):
            # A signal, since it needs no worker; where the batch was cancelled it comes too late.
            await client.get_workflow_handle(batch).signal(names.COMPLETE_SIGNAL)
    counts = sum((part.counts for part in parts), Counts())
    return BatchState(
        key=key, generation=generation, counts=counts, complete=True, parts=len(parts)
    )


class _Latest(BaseModel):
    request: BatchRequest
    running: bool


async def _latest(client: Client, key: str) -> _Latest | None:
    """Return what the latest run under a key was started with; None where there is none.

    Raises KeyConflict where the key's id belongs to something else than a batch.
    """
    handle = client.get_workflow_handle(names.batch_id(key))
    try:
        described = await describe(client, handle)
    except NotFound:
        return None
    if described.workflow_type != names.BATCH_WORKFLOW:
        raise KeyConflict(
            f"the id {handle.id} belongs to a {described.workflow_type}: nothing was started,"
            " use another key"
        )
    async with rpc(client):
        async for event in handle.fetch_history_events(page_size=1):
            begun = event.workflow_execution_started_event_attributes
            try:
                payloads = begun.input.payloads
                [request] = await client.data_converter.decode(payloads, [BatchRequest])
            except (ApplicationError, ValueError):
                return None
            running = status_name(described.status) == "Running"
            return _Latest(request=request, running=running)
    return None


class BatchStatus(BatchState):
    """How a batch stands; `running` is true while a row of it may still be sent or end."""

    running: bool

    @classmethod
    def of(cls, state: BatchState, *, running: bool) -> Self:
        """Return the state with `running` beside it."""
        return cls(**state.model_dump(), running=running)


async def get_status(client: Client, key: str) -> BatchStatus:
    """Return how a batch stands. Raises NotFound, TemporalUnavailable.

    Works without a running worker. Until a worker has taken the batch, and after the batch was
    terminated, the counts come from the histories of its parts.
    """
    handle = client.get_workflow_handle(names.batch_id(key), result_type=BatchState)
    described = await describe(client, handle)
    if described.workflow_type != names.BATCH_WORKFLOW:
        raise NotFound(f"no batch has the key {key}")
    status = status_name(described.status)
    if status == "Completed":
        return BatchStatus.of(await handle.result(), running=False)
    reported = await described.memo_value(names.STATE_MEMO, None, type_hint=BatchState)
    if status == "Running" and reported is not None:
        return BatchStatus.of(reported, running=True)
    latest = await _latest(client, key)
    if latest is None:
        raise NotFound(f"no batch has the key {key}")
    request = latest.request
    if latest.running:
        counts = count(await _outcomes_of(client, key, request.generation, ask=False))
        # Rows of parts that the starter has not started yet.
        counts += Counts(running=max(0, request.rows_planned - counts.total))
    else:
        counts = count(await outcomes(client, key))
        counts += Counts(cancelled=max(0, request.rows_planned - counts.total))
    return BatchStatus(
        key=key,
        generation=request.generation,
        counts=counts,
        cancelled=not latest.running,
        complete=True,
        parts=len(request.parts),
        running=latest.running or counts.running > 0,
    )


async def pause(client: Client, key: str) -> BatchState:
    """Start no further row of a running batch; rows in flight end. Raises as `cancel`."""
    return await _command(client, key, "pause", True)


async def resume(client: Client, key: str) -> BatchState:
    """Continue a paused batch. Raises as `cancel`."""
    return await _command(client, key, "pause", False)


async def cancel(client: Client, key: str) -> BatchState:
    """Cancel a running batch: rows that have not started are not sent; rows in flight end.

    Raises NotFound, KeyConflict if the batch has ended, TemporalUnavailable.
    """
    return await _command(client, key, "cancel")


async def set_rate(client: Client, key: str, per_minute: int | None) -> BatchState:
    """Start at most `per_minute` rows a minute from now on; None: no limit. Raises as `cancel`."""
    return await _command(client, key, "rate", PerMinuteUpdate(per_minute=per_minute))


async def _command(client: Client, key: str, update: str, *arguments: Any) -> BatchState:
    status = await get_status(client, key)
    try:
        return await _update(client, key, update, *arguments)
    except KeyConflict:
        raise KeyConflict(f"the batch {key} has ended: {status.counts.words()}") from None


async def _update(client: Client, key: str, update: str, *arguments: Any) -> BatchState:
    handle = client.get_workflow_handle(names.batch_id(key))
    try:
        async with asyncio.timeout(UPDATE_TIMEOUT_S), rpc(client, 60):
            state: BatchState = await handle.execute_update(
                update, args=arguments, result_type=BatchState
            )
            return state
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        raise TemporalUnavailable(
            f"No worker accepted the command within {UPDATE_TIMEOUT_S:.0f} s, though one still may:"
            f" check that a worker serves the task queue of the batch {key}, then check its status"
        ) from None
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        raise KeyConflict(f"the batch {key} has ended") from None


async def outcomes(client: Client, key: str) -> list[RowOutcome]:
    """Return the present truth of every row, in the order of the file. Raises NotFound."""
    try:
        latest = await _latest(client, key)
    except KeyConflict:
        latest = None
    if latest is None:
        raise NotFound(f"no batch has the key {key}")
    request = latest.request
    return await _outcomes(client, key, request.generation, request.rows_planned)


async def failed_rows(client: Client, key: str) -> tuple[list[Row], list[RowOutcome]]:
    """Return the rows that failed or were never sent, as they were asked for, and the wrong ones.

    Raises NotFound.
    """
    told = await outcomes(client, key)
    again = {row.key for row in told if row.outcome in ("failed", "cancelled")}
    latest = await _latest(client, key)
    rows = []
    for part in _part_names(key, latest.request) if latest else []:
        rows += [row for row in await rows_of_part(client, part) if row.key in again]
    return rows, [row for row in told if row.key.startswith(REJECTED)]


def count(rows: Iterable[RowOutcome]) -> Counts:
    """Return the rows by outcome."""
    return Counts.of([row.outcome for row in rows])


def report_row(row: RowOutcome) -> dict[str, Any]:
    """Return what the report says of a row, by column."""
    told = row.model_dump(mode="json", by_alias=True)
    if row.former:
        told["row"] = None  # its number would be that of another row in the latest file
    return {name: told[name] for name in REPORT_COLUMNS}


def _settled(
    rows: list[Row], told: list[RowOutcome], *, resend_unknown: bool, whole: bool
) -> tuple[list[Row], list[RowOutcome]]:
    """Return the rows that are to be sent, and what is known of the others.

    What is known keeps the place its row has in the latest file; a row that the file no longer has
    is kept too, so that it is never sent again by accident. Where the rows are not the `whole`
    file, the others keep their places.
    """
    done = ("accepted",) if resend_unknown else ("accepted", "unknown")
    wanted = {row.key: row for row in rows}
    known: list[RowOutcome] = []
    for row in told:
        if row.key in wanted:
            if row.outcome in done:
                place = {"row": wanted.pop(row.key).row, "former": False}
                known.append(row.model_copy(update=place))
        elif not row.key.startswith(REJECTED):
            known.append(row.model_copy(update={"former": row.former or whole}))
    return list(wanted.values()), known


def _told(rows: list[RowOutcome]) -> set[tuple[str, int, bool, str | None]]:
    """Return what the report says that a file without anything to send can change."""
    return {(row.key, row.row, row.former, row.error) for row in rows}


async def _outcomes(
    client: Client, key: str, generation: int, planned: int | None = None
) -> list[RowOutcome]:
    """Return how the rows stand after this run, of which it was given so many where that is known.

    A start that broke off may not have handed over every row; of those the runs before tell it, or
    what was accepted there would be sent again.
    """
    found = {row.key: row for row in await _outcomes_of(client, key, generation)}
    while (generation := generation - 1) and (planned is None or len(found) < planned):
        for row in await _outcomes_of(client, key, generation):
            if not row.key.startswith(REJECTED):
                found.setdefault(row.key, row)
    return sorted(found.values(), key=lambda row: (row.former, row.row))


async def _outcomes_of(
    client: Client, key: str, generation: int, *, ask: bool = True
) -> list[RowOutcome]:
    """Return how the rows stand that this run of the batch was given so far."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(part: str) -> list[RowOutcome]:
        async with gate, rpc(client, 60):
            return await part_outcomes(client, part, ask=ask)

    found: list[RowOutcome] = []
    first = 0
    while True:
        # Parts are numbered without a gap; the first that is missing ends them.
        numbers = range(first, first + 4 * AT_ONCE)
        parts = [names.part_id(names.batch_id(key), generation, number) for number in numbers]
        told = await asyncio.gather(*(one(part) for part in parts))
        found += [row for rows in told for row in rows]
        if not all(told):
            break
        first = numbers.stop
    return found


def _part_names(key: str, request: BatchRequest) -> list[str]:
    batch = names.batch_id(key)
    count = len(request.parts) or len(split(request.rows, []))
    return [names.part_id(batch, request.generation, number) for number in range(count)]


async def _wound_up(client: Client, key: str, request: BatchRequest) -> None:
    """Return when no part of a closed run sends any more, whatever ended the run.

    Raises KeyConflict where that takes too long.
    """
    asked = PartControl(batch=names.batch_id(key), number=LAST_WORD, cancelled=True)

    async def one(part: str) -> None:
        handle = client.get_workflow_handle(part)
        while True:
            try:
                described = await describe(client, handle)
            except NotFound:
                return
            if status_name(described.status) != "Running":
                return
            with suppress(RPCError):
                await handle.signal(names.CONTROL_SIGNAL, asked)
            await asyncio.sleep(0.5)

    try:
        async with asyncio.timeout(ENDS_WITHIN_S):
            await asyncio.gather(*(one(part) for part in _part_names(key, request)))
    except TimeoutError:
        raise KeyConflict(
            f"sends of the run before under the key {key} have not ended: nothing was started,"
            " see that a worker serves the task queue and try again in a minute"
        ) from None


def _digest(rows: list[Row], rejected: list[RowOutcome]) -> str:
    body = [[row.row, row.key, row.request.body()] for row in rows]
    told = [[row.row, row.error_type] for row in rejected]
    return hashlib.sha256(json.dumps([body, told]).encode()).hexdigest()[:32]
