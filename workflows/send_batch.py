"""SendWhatsAppBatch and its parts: the same send for thousands of recipients, row by row."""

import asyncio
from typing import Any

from temporalio import workflow
from temporalio.exceptions import (
    ApplicationError,
    ChildWorkflowError,
    FailureError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from activities.flows import FlowMatch
    from contract import attributes
    from contract.batch import (
        BatchRequest,
        BatchState,
        Chunk,
        Counts,
        PartProgress,
        PartRequest,
        Row,
        RowOutcome,
    )
    from contract.errors import ErrorType, utc
    from contract.names import BATCH_WORKFLOW, PART_WORKFLOW, batch_id, part_id
    from contract.result import Outcome
    from workflows import steps
    from workflows.record import RowRecord, count
    from workflows.send_whatsapp import deliver

ROW_PRIORITY = 4
"""Below a single send's 2: one urgent message overtakes a running batch."""

TELL_EVERY = 25
"""Rows after which a part tells its parent how it stands."""

PAUSE_AFTER_FAILURES = 20
"""Failures of a part in a row after which the batch pauses."""

PARTS_AT_ONCE = 4
QUEUED_CHUNKS = 4


@workflow.defn(name=PART_WORKFLOW)
class SendWhatsAppBatchPart:
    """Sends some hundred rows; ends as Completed with an outcome for each of them."""

    def __init__(self) -> None:
        """Begin without rows."""
        self._outcomes: dict[str, RowOutcome] = {}
        self._total = 0
        self._paused = False
        self._cancelled = False
        self._failures = 0
        self._told = 0

    @workflow.run
    async def run(self, request: PartRequest) -> list[RowOutcome]:
        """Return how each row ended."""
        self._total = len(request.rows)
        self._paused, self._cancelled = request.paused, request.cancelled
        flows = {name: FlowMatch.model_validate(found) for name, found in request.flows.items()}
        waiting = list(reversed(request.rows))
        tasks: list[asyncio.Task[None]] = []
        while waiting or not all(task.done() for task in tasks):
            room = sum(not task.done() for task in tasks) < request.in_flight
            if self._cancelled:
                for row in waiting:
                    self._end(row, "cancelled", error="Cancelled, nothing was sent")
                waiting = []
                # Sends on their way say themselves what became of them.
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            elif waiting and room and not self._paused:
                tasks.append(asyncio.create_task(self._send(waiting.pop(), flows)))
            else:
                await self._something_changes(tasks)
        await self._tell()
        return [*(self._outcomes[row.key] for row in request.rows), *request.rejected]

    async def _something_changes(self, tasks: list[asyncio.Task[None]]) -> None:
        def now() -> tuple[int, bool]:
            return sum(task.done() for task in tasks), self._paused

        before = now()
        try:
            await workflow.wait_condition(lambda: self._cancelled or before != now())
        except asyncio.CancelledError:
            self._cancelled = True

    @workflow.signal
    def pause(self, paused: bool) -> None:
        """Stop before the next row, or go on."""
        self._paused = paused
        self._failures = 0

    @workflow.signal
    def cancel(self) -> None:
        """End; rows that have not begun are not sent."""
        self._cancelled = True

    @workflow.query
    def outcomes(self) -> list[RowOutcome]:
        """Return the rows that have ended."""
        return list(self._outcomes.values())

    async def _send(self, row: Row, flows: dict[str, FlowMatch]) -> None:
        record = RowRecord(row.request)
        manner = steps.Manner(f"send-{row.row}", ROW_PRIORITY, local_first=True)
        known = flows.get(row.request.template or "")
        began = workflow.now()
        outcome: Outcome = "accepted"
        error_type: str | None = None
        try:
            result = await deliver(row.request, record, manner, known)
            self._end(row, outcome, to=result.to, contact_id=result.contact_id)
        except (asyncio.CancelledError, FailureError) as error:
            if is_cancelled_exception(error):
                outcome = "cancelled"
                self._end(row, outcome, to=record.to, error="Cancelled, nothing was sent")
            else:
                failed = error if isinstance(error, ApplicationError) else None
                error_type, said = (failed.type, failed.message) if failed else (None, None)
                outcome = "unknown" if error_type == ErrorType.DELIVERY_UNKNOWN else "failed"
                self._end(row, outcome, to=record.to, error_type=error_type, error=said)
        count(record.kind, outcome, error_type, began, row.row)
        self._failures = 0 if outcome in ("accepted", "cancelled") else self._failures + 1
        bad_key = error_type == ErrorType.UNAUTHORIZED
        reason = None
        if not self._paused and (bad_key or self._failures >= PAUSE_AFTER_FAILURES):
            self._paused = True
            reason = (
                "the provider refuses the key"
                if bad_key
                else f"{self._failures} rows in a row did not go out, the last one as {error_type}"
            )
        if reason or len(self._outcomes) - self._told >= TELL_EVERY:
            await self._tell(reason)

    def _end(
        self,
        row: Row,
        outcome: Outcome,
        *,
        to: str | None = None,
        contact_id: str | None = None,
        error_type: str | None = None,
        error: str | None = None,
    ) -> None:
        self._outcomes[row.key] = RowOutcome(
            row=row.row,
            key=row.key,
            to=to or row.request.to,
            outcome=outcome,
            contact_id=contact_id,
            error_type=error_type or ("Cancelled" if outcome == "cancelled" else None),
            error=error,
            finished_at=utc(workflow.now()),
        )

    async def _tell(self, pause_reason: str | None = None) -> None:
        parent = workflow.info().parent
        if parent is None:
            return
        self._told = len(self._outcomes)
        told = PartProgress(
            part=workflow.info().workflow_id,
            counts=tally(self._outcomes.values(), self._total),
            pause_reason=pause_reason,
        )
        handle = workflow.get_external_workflow_handle(parent.workflow_id, run_id=parent.run_id)
        try:
            await handle.signal(SendWhatsAppBatch.progress, told)
        except FailureError:
            # The parent has ended; what this part did stands in its own result.
            workflow.logger.warning("the batch does not listen any more")


def tally(outcomes: Any, total: int) -> Counts:
    """Return the rows by outcome."""
    found = [row.outcome for row in outcomes]
    ended = {n: found.count(n) for n in ("accepted", "failed", "unknown", "cancelled")}
    return Counts(**ended, running=total - len(found))


@workflow.defn(name=BATCH_WORKFLOW)
class SendWhatsAppBatch:
    """Hands chunks of rows to parts, a few at a time, and shows how they stand."""

    def __init__(self) -> None:
        """Begin without rows."""
        self._digests: dict[int, str] = {}
        self._queue: list[Chunk] = []
        self._counts: dict[str, Counts] = {}
        self._running: list[str] = []
        self._looking_up = asyncio.Lock()
        self._complete = False
        self._cancelled = False
        self._paused = False
        self._pause_reason: str | None = None
        self._begun: BatchRequest | None = None
        self._flows: dict[str, dict[str, str | None]] = {}
        self._use_attributes = False
        self._telling: set[asyncio.Task[None]] = set()

    @workflow.run
    async def run(self, request: BatchRequest) -> BatchState:
        """Return how many rows ended how."""
        self._begun = request
        prepared = await steps.prepare("", None)
        self._use_attributes = prepared.search_attributes
        self._show()
        parts: list[asyncio.Task[None]] = []
        while self._running or self._queue or not self._complete:
            if self._queue and len(self._running) < PARTS_AT_ONCE:
                chunk = self._queue.pop(0)
                name = part_id(batch_id(request.key), request.generation, chunk.number)
                self._running.append(name)
                self._counts[name] = Counts(running=len(chunk.rows))
                parts.append(asyncio.create_task(self._part(name, chunk, request)))
            else:
                await self._something_changes()
        await asyncio.gather(*parts, *self._telling, return_exceptions=True)
        await workflow.wait_condition(workflow.all_handlers_finished)
        self._show()
        return self.state()

    async def _something_changes(self) -> None:
        before = (len(self._queue), len(self._running), self._complete)
        try:
            await workflow.wait_condition(
                lambda: before != (len(self._queue), len(self._running), self._complete)
            )
        except asyncio.CancelledError:
            self._stop()

    async def _part(self, name: str, chunk: Chunk, request: BatchRequest) -> None:
        async with self._looking_up:
            await self._look_up(chunk)
        part = PartRequest(
            rows=chunk.rows,
            rejected=chunk.rejected,
            flows=self._flows,
            in_flight=max(1, request.in_flight // PARTS_AT_ONCE),
            paused=self._paused,
            cancelled=self._cancelled,
        )
        try:
            outcomes = await workflow.execute_child_workflow(
                SendWhatsAppBatchPart.run,
                part,
                id=name,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                cancellation_type=workflow.ChildWorkflowCancellationType.ABANDON,
                static_summary=f"Part {chunk.number} of batch {request.key}",
            )
            self._counts[name] = tally(outcomes, len(outcomes))
        except ChildWorkflowError:
            # Terminated from outside: what its sends did, nobody here can know.
            before = self._counts[name]
            self._counts[name] = before + Counts(unknown=before.running, running=-before.running)
        # No `finally`: it would run as well when a worker drops the run from its cache.
        self._running.remove(name)
        self._show()

    async def _look_up(self, chunk: Chunk) -> None:
        """Look each template up once for all; where that fails, each row does so for itself."""
        # In the order of the rows, since that of a set differs between replays.
        for template in dict.fromkeys(row.request.template for row in chunk.rows):
            if template is None or template in self._flows or len(self._flows) > 100:
                continue
            prepared = await steps.prepare("", template)
            try:
                manner = steps.Manner(priority=ROW_PRIORITY)
                found = await steps.find_flow(template, prepared, manner)
            except FailureError:
                continue
            if found:
                self._flows[template] = found.model_dump()

    def _stop(self) -> None:
        """Let nothing begin that has not begun; parts that are queued record their rows so."""
        self._cancelled = self._complete = True
        for name in self._running:
            self._tell_part(name, SendWhatsAppBatchPart.cancel)

    def _tell_part(self, name: str, signal: Any, *words: Any) -> None:
        async def tell() -> None:
            try:
                await workflow.get_external_workflow_handle(name).signal(signal, *words)
            except FailureError:
                workflow.logger.info("a part has ended already")

        task = asyncio.create_task(tell())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    @workflow.update
    async def add(self, chunk: Chunk) -> int:
        """Take a chunk, once, and return how many there are; waits while enough are queued."""
        await workflow.wait_condition(lambda: self._complete or len(self._queue) < QUEUED_CHUNKS)
        known = self._digests.get(chunk.number)
        if known is not None and known != chunk.digest:
            raise ApplicationError(
                "The batch still takes the rows of another file: wait for it, or cancel it first",
                type="OtherRows",
            )
        if known is None and not self._complete:
            self._digests[chunk.number] = chunk.digest
            self._queue.append(chunk)
        return len(self._digests)

    @workflow.update
    def complete(self) -> BatchState:
        """Say that every chunk is there."""
        self._complete = True
        return self.state()

    @workflow.update
    def pause(self, paused: bool) -> BatchState:
        """Stop before the next rows, or go on."""
        self._paused = paused
        self._pause_reason = "an operator asked for it" if paused else None
        for name in self._running:
            self._tell_part(name, SendWhatsAppBatchPart.pause, paused)
        self._show()
        return self.state()

    @workflow.update
    def cancel(self) -> BatchState:
        """End; rows that have not begun are not sent."""
        self._stop()
        self._show()
        return self.state()

    @workflow.signal
    def progress(self, told: PartProgress) -> None:
        """Take what a part tells."""
        if told.part in self._running:
            self._counts[told.part] = told.counts
        if told.pause_reason and not self._paused:
            self._paused, self._pause_reason = True, told.pause_reason
            for name in self._running:
                self._tell_part(name, SendWhatsAppBatchPart.pause, True)
        self._show()

    @workflow.query
    def state(self) -> BatchState:
        """Return how the batch stands."""
        begun = self._begun
        queued = Counts(running=sum(len(chunk.rows) for chunk in self._queue))
        return BatchState(
            key=begun.key if begun else "",
            generation=begun.generation if begun else 0,
            counts=sum(self._counts.values(), queued),
            paused=self._paused,
            pause_reason=self._pause_reason,
            cancelled=self._cancelled,
            complete=self._complete,
            chunks=len(self._digests),
            parts=[*(begun.earlier_parts if begun else []), *self._counts],
        )

    def _show(self) -> None:
        state = self.state()
        words = state.counts.words()
        if self._paused:
            words += f". Paused, since {self._pause_reason}: `send-whatsapp batch resume` goes on"
        elif not self._complete:
            words += ". Waits for more rows of the file"
        workflow.set_current_details(words)
        if self._use_attributes:
            done = self._complete and not self._queue and not self._running
            counts = state.counts
            outcome: Outcome = "running"
            if done and counts.unknown:
                outcome = "unknown"
            elif done and self._cancelled:
                outcome = "cancelled"
            elif done:
                outcome = "failed" if counts.failed else "accepted"
            workflow.upsert_search_attributes(
                [
                    attributes.OUTCOME.value_set(outcome),
                    attributes.PROGRESS.value_set(counts.words()),
                ]
            )
