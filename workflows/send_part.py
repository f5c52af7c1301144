"""SendWhatsAppBatchPart: up to 250 rows of a batch, with an outcome for each."""

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from activities.preparation import RunSettings
    from send_whatsapp.contract.batch import RowOutcome
    from send_whatsapp.contract.names import CONTROL_SIGNAL, PART_WORKFLOW, PROGRESS_SIGNAL
    from send_whatsapp.contract.part_signals import PartControl, PartProgress
    from send_whatsapp.contract.parts import PartRequest
    from send_whatsapp.contract.turns import TURN_SIGNAL, TurnMessage
    from workflows import steps
    from workflows.cancellation import finish
    from workflows.lost_attempts import end_overdue_attempts
    from workflows.part_rows import PartRows, ReportSchedule
    from workflows.part_sending import PartSending
    from workflows.row_gate import RowGate
    from workflows.turns import RunTurns

STARTS_WITHIN = timedelta(days=90)
"""A part that its batch does not start within this time, or within this time after `send_at`, ends
and sends nothing."""


@workflow.defn(name=PART_WORKFLOW)
class SendWhatsAppBatchPart:
    """Sends its rows when its batch says so. Completed: each row has an outcome."""

    def __init__(self) -> None:
        self._gate = RowGate()
        self._rows = PartRows()
        self._reports = ReportSchedule()
        self._turns = RunTurns()
        self._unreported_pause: str | None = None
        self._all_ended = False

    @workflow.run
    async def run(self, request: PartRequest) -> list[RowOutcome]:
        """Return the outcome of each row."""
        return await finish(self._run(request), lambda: self._gate.stop("its part was cancelled"))

    async def _run(self, request: PartRequest) -> list[RowOutcome]:
        await self._wait_for_batch(request.send_at)
        rows = request.unpacked()
        self._rows = PartRows(rows, request.known)
        reporting = asyncio.create_task(self._report_to_batch())
        await self._send_rows(sorted({row.request.template or "" for row in rows} - {""}))
        self._all_ended = True
        await reporting
        return self._rows.outcomes

    @workflow.signal(name=CONTROL_SIGNAL)
    def control(self, message: PartControl) -> None:
        """Start, or apply new settings (rate, pause, cancel)."""
        self._gate.follow(message)

    @workflow.signal(name=TURN_SIGNAL)
    def turn(self, message: TurnMessage) -> None:
        """Learn that the turn of a row has come, or that somebody waits for its end."""
        self._turns.receive(message)

    @workflow.query
    def outcomes(self) -> list[RowOutcome]:
        """Return the rows that have ended."""
        return list(self._rows.ended)

    async def _wait_for_batch(self, send_at: datetime | None) -> None:
        later = send_at - workflow.now() if send_at else timedelta()
        try:
            await workflow.wait_condition(
                lambda: self._gate.control is not None or self._gate.stopped,
                timeout=STARTS_WITHIN + max(later, timedelta()),
            )
        except TimeoutError:
            self._gate.stop("its batch never started")

    async def _send_rows(self, templates: list[str]) -> None:
        """Send the rows until all have ended, at once if the part stops."""
        sending = PartSending(self._rows, self._gate, self._turns, self._report_pause)
        if self._gate.stopped:
            await sending.end()
            return
        settings = await steps.read_settings(templates)
        watching = asyncio.create_task(self._watch_attempts(settings))
        await sending.run(settings)
        await sending.end()
        await watching

    async def _watch_attempts(self, settings: RunSettings) -> None:
        """Until all rows have ended, end lost attempts; while no row has started there is none."""
        while True:
            await end_overdue_attempts(settings, lambda: self._rows.is_idle)
            if self._rows.all_ended:
                return
            await workflow.wait_condition(lambda: self._rows.all_ended or not self._rows.is_idle)

    def _report_pause(self, reason: str) -> None:
        self._unreported_pause = self._unreported_pause or reason

    async def _report_to_batch(self) -> None:
        """Report the rows until all have ended; stop if the batch cannot be reached any more."""
        if self._gate.control is None:
            return
        batch = workflow.get_external_workflow_handle(self._gate.batch)
        is_last = False
        while not is_last:
            await workflow.wait_condition(self._report_is_due)
            # Decided before the signal: all rows may end while it is on its way.
            is_last = self._all_ended
            self._reports.reported(self._rows)
            progress = PartProgress(
                part=workflow.info().workflow_id,
                counts=self._rows.counts,
                waiting=self._rows.waiting,
                in_flight=self._rows.in_flight,
                in_queue=self._rows.in_queue,
                retrying=self._rows.retrying,
                retry_reason=self._rows.retry_reason,
                outside_window=self._rows.outside_window,
                opens_at=self._rows.opens_at,
                wakes=self._rows.wakes,
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
            or self._reports.is_due(self._rows)
        )
