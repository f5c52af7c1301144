"""SendWhatsAppBatch: lets the parts of a batch send, a few at a time, and shows its progress."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from activities.preparation import RunSettings
    from send_whatsapp.contract.batch import BatchState, PerMinuteUpdate
    from send_whatsapp.contract.names import (
        BATCH_WORKFLOW,
        COMPLETE_SIGNAL,
        PART_WORKFLOW,
        PROGRESS_SIGNAL,
        STATE_MEMO,
    )
    from send_whatsapp.contract.part_signals import Flows, PartProgress
    from send_whatsapp.contract.parts import BatchInput, split
    from send_whatsapp.contract.templates import FlowMatch
    from workflows import callbacks, steps
    from workflows.batch_openings import BatchOpenings
    from workflows.batch_progress import BatchProgress, HistoryBudget
    from workflows.batch_visibility import BatchVisibility, rows_last4
    from workflows.part_supervision import PartSupervisor

STEPS_PER_RUN = 800
"""Steps after which the batch continues as new: messages that arrive or are sent, and checks of
parts. Each adds at most some seven events, and the server warns at 10,240."""

COMPLETE_WITHIN = timedelta(hours=1)
"""A batch whose starter has not started every part after this time ends and sends nothing."""

MAX_TEMPLATES = 100
"""Templates that are looked up once for all rows; those beyond this limit are looked up per row."""


@workflow.defn(name=BATCH_WORKFLOW)
class SendWhatsAppBatch:
    """Controls its parts. It holds no row, so its history stays small for any number of rows."""

    def __init__(self) -> None:
        # Set by `run`; handlers wait for that.
        self._progress: BatchProgress
        self._supervisor: PartSupervisor
        self._openings: BatchOpenings
        self._is_initialized = False
        self._visibility = BatchVisibility()
        self._budget = HistoryBudget(STEPS_PER_RUN)

    @workflow.run
    async def run(self, request: BatchInput) -> BatchState:
        """Return the number of rows per outcome."""
        self._progress = BatchProgress(request)
        self._supervisor = PartSupervisor(self._progress, self._budget, on_end=self._show)
        self._openings = BatchOpenings(self._progress.windows, self._budget)
        self._openings.follow()
        self._is_initialized = True
        watching = asyncio.create_task(self._supervisor.watch())
        sending = asyncio.create_task(self._send(request))
        try:
            await asyncio.shield(sending)
        except asyncio.CancelledError:
            # Cancelled in the Web UI or by another client: end as if `cancel` had been called.
            self._cancel_parts()
            await sending
        watching.cancel()
        self._openings.cancel()
        await workflow.wait_condition(self._is_quiet)
        self._show(at_once=True)
        await callbacks.batch_ended(self._progress.state)
        return self._progress.state

    async def _send(self, request: BatchInput) -> None:
        settings = await steps.read_settings()
        self._visibility.use_attributes = settings.search_attributes
        self._show(at_once=True)
        await self._start_given_rows(request, settings)
        await self._wait_for_parts()
        await self._wait_until(request.send_at)
        await self._look_up_templates(request.templates, settings)
        await self._run_parts()

    async def _start_given_rows(self, request: BatchInput, settings: RunSettings) -> None:
        """Start the parts of rows that the input of the batch contains."""
        if not request.rows or self._progress.checkpoint.complete:
            return
        for number, part in enumerate(split(request.rows, send_at=request.send_at)):
            try:
                await workflow.start_child_workflow(
                    PART_WORKFLOW,
                    part,
                    id=self._progress.part_id(number),
                    parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                    search_attributes=rows_last4(part) if settings.search_attributes else None,
                )
            except WorkflowAlreadyStartedError:
                workflow.logger.info("the part has been started before")
        self._progress.checkpoint.complete = True

    async def _wait_for_parts(self) -> None:
        """Wait until the starter has started every part."""
        checkpoint = self._progress.checkpoint
        try:
            await workflow.wait_condition(
                lambda: checkpoint.complete or checkpoint.cancelled, timeout=COMPLETE_WITHIN
            )
        except TimeoutError:
            self._cancel_parts()

    async def _wait_until(self, send_at: datetime | None) -> None:
        """Wait for the time at which the batch may start, unless it is cancelled earlier."""
        checkpoint = self._progress.checkpoint
        if send_at is not None and checkpoint.started_at is None:
            wait = max(timedelta(milliseconds=1), send_at - workflow.now())
            with suppress(TimeoutError):
                await workflow.wait_condition(lambda: checkpoint.cancelled, timeout=wait)
        checkpoint.started_at = checkpoint.started_at or workflow.now()

    async def _look_up_templates(self, templates: list[str], settings: RunSettings) -> None:
        """Look up each template once for all rows; if that fails, each row looks it up itself."""
        checkpoint = self._progress.checkpoint
        if checkpoint.flows is not None:
            return
        flows: Flows = {}
        for template in templates[:MAX_TEMPLATES]:
            if checkpoint.cancelled:
                break
            if found := await self._look_up_flow(template, settings):
                flows[template] = found.model_dump()
        checkpoint.flows = flows

    async def _look_up_flow(self, template: str, settings: RunSettings) -> FlowMatch | None:
        """Return the result of a lookup; None if it fails, or the batch is cancelled meanwhile."""
        checkpoint = self._progress.checkpoint
        lookup = asyncio.create_task(steps.look_up_flow(template, settings, steps.SINGLE_SEND))
        await workflow.wait_condition(lambda: lookup.done() or checkpoint.cancelled)
        if not lookup.done():
            lookup.cancel()
            return None
        try:
            return lookup.result()
        except FailureError:
            return None

    async def _run_parts(self) -> None:
        """Start each part when it may start, and wait until all have ended."""
        progress = self._progress
        while not progress.finished:
            if self._budget.is_spent:
                await self._continue_as_new()
            while progress.may_start_part():
                self._supervisor.control(progress.start_part())
            progress.windows.note_idle(workflow.now())
            await workflow.wait_condition(
                lambda: progress.finished or progress.may_start_part() or self._budget.is_spent
            )

    async def _continue_as_new(self) -> None:
        """Continue as a new run, to which the parts send their next reports."""
        await workflow.wait_condition(self._is_quiet)
        workflow.continue_as_new(
            self._progress.next_input(),
            # Otherwise the new run would start with the state that this one started with.
            memo={**workflow.memo(), STATE_MEMO: self._progress.state},
        )

    @workflow.signal(name=COMPLETE_SIGNAL)
    async def complete(self) -> None:
        """Start sending: the starter has started every part."""
        await self._wait_for_run()
        self._progress.checkpoint.complete = True

    @workflow.signal(name=PROGRESS_SIGNAL)
    async def report_progress(self, report: PartProgress) -> None:
        """Take the report of a part."""
        await self._wait_for_run()
        if report.part not in self._progress.running:
            return
        self._budget.spend()
        self._supervisor.reported(report.part)
        self._progress.report(report)
        self._progress.windows.note_idle(workflow.now())
        self._openings.follow()
        if report.pause_reason and not self._progress.checkpoint.paused:
            self._progress.pause(report.pause_reason)
            self._supervisor.control_all()
        self._show(at_once=report.pause_reason is not None)

    @workflow.update
    async def pause(self, paused: bool) -> BatchState:
        """Start no further row, or continue."""
        await self._wait_for_run()
        if paused:
            self._progress.pause("an operator paused it")
        else:
            self._progress.resume()
        return self._apply_command()

    @workflow.update
    async def rate(self, request: PerMinuteUpdate) -> BatchState:
        """Start at most so many rows a minute from now on; None: no limit."""
        await self._wait_for_run()
        self._progress.checkpoint.per_minute = request.per_minute
        return self._apply_command()

    @workflow.update
    async def cancel(self) -> BatchState:
        """End; rows that have not started are not sent."""
        await self._wait_for_run()
        self._progress.checkpoint.cancelled = True
        return self._apply_command()

    async def _wait_for_run(self) -> None:
        """Wait until `run` has read its input: signals and updates may arrive earlier."""
        await workflow.wait_condition(lambda: self._is_initialized)

    def _apply_command(self) -> BatchState:
        """Pass a command on to the parts, show its effect and return the new state."""
        self._budget.spend()
        self._supervisor.control_all()
        self._show(at_once=True)
        return self._progress.state

    def _cancel_parts(self) -> None:
        self._progress.checkpoint.cancelled = True
        self._supervisor.control_all()

    def _is_quiet(self) -> bool:
        return self._supervisor.is_idle and workflow.all_handlers_finished()

    def _show(self, *, at_once: bool = False) -> None:
        state, finished = self._progress.state, self._progress.finished
        self._visibility.show(state, finished=finished, at_once=at_once)
