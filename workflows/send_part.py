"""SendWhatsAppBatchPart: up to 250 rows of a batch, each sent like a single message."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.flows import FlowMatch
    from activities.preparation import Preparation
    from send_whatsapp.contract.batch import Row, RowOutcome
    from send_whatsapp.contract.names import CONTROL_SIGNAL, PART_WORKFLOW, PROGRESS_SIGNAL
    from send_whatsapp.contract.parts import PartControl, PartProgress, PartRequest
    from workflows import steps
    from workflows.part_rows import PartRows, ReportSchedule
    from workflows.row_gate import RowGate
    from workflows.row_sending import cancelled_row, send_row

PREPARED_TOGETHER = 50
"""Rows whose numbers and contacts one local activity resolves."""

STARTS_WITHIN = timedelta(days=90)
"""A part that gets no control message from its batch ends after this time and sends nothing."""


@workflow.defn(name=PART_WORKFLOW)
class SendWhatsAppBatchPart:
    """Sends its rows when its batch says so. Completed: each row has an outcome."""

    def __init__(self) -> None:
        self._gate = RowGate()
        self._rows = PartRows()
        self._sends: set[asyncio.Task[None]] = set()
        self._reports = ReportSchedule()
        self._unreported_pause: str | None = None
        self._all_ended = False

    @workflow.run
    async def run(self, request: PartRequest) -> list[RowOutcome]:
        """Return the outcome of each row."""
        await self._wait_for_batch()
        self._rows = PartRows(request.unpacked(), request.known)
        reporting = asyncio.create_task(self._report_to_batch())
        try:
            await self._send_rows()
        except (asyncio.CancelledError, FailureError) as error:
            self._stop_if_cancelled(error)
        await self._end_rows()
        self._all_ended = True
        await reporting
        return self._rows.outcomes

    @workflow.signal(name=CONTROL_SIGNAL)
    def control(self, message: PartControl) -> None:
        """Start, or apply new settings (rate, pause, cancel)."""
        self._gate.follow(message)

    @workflow.query
    def outcomes(self) -> list[RowOutcome]:
        """Return the rows that have ended."""
        return list(self._rows.ended)

    async def _wait_for_batch(self) -> None:
        try:
            await workflow.wait_condition(
                lambda: self._gate.control is not None, timeout=STARTS_WITHIN
            )
        except TimeoutError:
            self._gate.stop("its batch never started")
        except asyncio.CancelledError as error:
            self._stop_if_cancelled(error)

    def _stop_if_cancelled(self, error: BaseException) -> None:
        if not is_cancelled_exception(error):
            raise error
        self._gate.stop("its part was cancelled")

    async def _send_rows(self) -> None:
        """Start every row when it may start, and wait until all have ended or the part stops."""
        while rows := self._rows.next_rows(PREPARED_TOGETHER):
            if not await self._wait_for_room():
                return
            for prepared in await self._prepare(rows):
                if not await self._wait_for_turn():
                    return
                self._start(self._rows.start_next(), prepared)
        await workflow.wait_condition(lambda: self._gate.stopped or not self._sends)

    async def _prepare(self, rows: Iterable[Row]) -> list[Preparation]:
        control = self._gate.control
        flows = control.flows if control else {}
        requests = [row.request for row in rows]
        prepared = await steps.prepare_rows([request.to for request in requests])
        found = [flows.get(request.template or "") for request in requests]
        return prepared.each([FlowMatch.model_validate(flow) if flow else None for flow in found])

    async def _wait_for_turn(self) -> bool:
        """Wait until the rate lets the next row start too; False if no further row may start."""
        while await self._wait_for_room():
            if self._gate.allowance.take():
                return True
            await self._next_tick()
        return False

    async def _wait_for_room(self) -> bool:
        """Wait until another row may be in flight; False if no further row may start."""
        await workflow.wait_condition(
            lambda: self._gate.stopped or self._gate.has_room(self._rows.in_flight)
        )
        return not self._gate.stopped

    async def _next_tick(self) -> None:
        """Wait for the next tick of the rate, or for another control message."""
        control, allowance = self._gate.control, self._gate.allowance
        try:
            await workflow.wait_condition(
                lambda: self._gate.stopped or self._gate.control is not control,
                timeout=allowance.tick_s,
            )
        except TimeoutError:
            allowance.next_tick()

    def _start(self, row: Row, prepared: Preparation) -> None:
        task = asyncio.create_task(self._send(row, prepared))
        self._sends.add(task)
        task.add_done_callback(self._sends.discard)

    async def _send(self, row: Row, prepared: Preparation) -> None:
        sent = await send_row(row, prepared, self._batch, self._gate)
        self._rows.end(sent.outcome)
        # A killed worker loses all its sends at once; that says nothing about the next rows.
        if not sent.worker_was_lost:
            pause_reason = self._gate.row_ended(sent.outcome)
            self._unreported_pause = self._unreported_pause or pause_reason

    async def _end_rows(self) -> None:
        """Mark waiting rows as cancelled; cancel the tasks of rows in flight and wait for them."""
        while self._rows.waiting:
            self._rows.end(cancelled_row(self._rows.start_next(), self._gate.stop_reason))
        for task in self._sends:
            task.cancel()
        await asyncio.gather(*self._sends, return_exceptions=True)

    async def _report_to_batch(self) -> None:
        """Report the rows until all have ended; stop if the batch cannot be reached any more."""
        if self._gate.control is None:
            return
        batch = workflow.get_external_workflow_handle(self._batch)
        is_last = False
        while not is_last:
            await workflow.wait_condition(self._report_is_due)
            # Decided before the signal: all rows may end while it is on its way.
            is_last = self._all_ended
            self._reports.reported(self._rows, workflow.now())
            progress = PartProgress(
                part=workflow.info().workflow_id,
                counts=self._rows.counts,
                waiting=self._rows.waiting,
                pause_reason=self._unreported_pause,
                ended=is_last,
            )
            self._unreported_pause = None
            try:
                await batch.signal(PROGRESS_SIGNAL, progress)
            except FailureError:
                self._gate.stop("its batch was ended from outside")

    def _report_is_due(self) -> bool:
        return (
            self._all_ended
            or self._unreported_pause is not None
            or self._reports.is_due(self._rows, workflow.now())
        )

    @property
    def _batch(self) -> str:
        return self._gate.control.batch if self._gate.control else ""
