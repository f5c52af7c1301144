"""Supervision of running parts: sends them control messages and notices parts that have ended."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from activities.parts import PartActivities
    from send_whatsapp.contract.names import CONTROL_SIGNAL
    from workflows.batch_progress import BatchProgress, HistoryBudget, SilentParts

CHECK_INTERVAL_S = 10


class PartSupervisor:
    """Controls the running parts of a batch; calls `on_end` after it found that one has ended."""

    def __init__(
        self, progress: BatchProgress, budget: HistoryBudget, on_end: Callable[[], None]
    ) -> None:
        self._progress = progress
        self._budget = budget
        self._on_end = on_end
        self._silent = SilentParts()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_idle(self) -> bool:
        """Whether no control signal and no status check is pending."""
        return not self._tasks

    def control(self, part: str) -> None:
        """Send a part its next control message."""
        self._spawn(self._send_control(part))

    def control_all(self) -> None:
        """Send every running part its next control message."""
        for part in self._progress.running:
            self.control(part)

    def reported(self, part: str) -> None:
        """Remember that a part has reported."""
        self._silent.reported(part)

    async def watch(self) -> None:
        """Check parts that do not report, until this is cancelled."""
        # A steady timer: one that starts anew with each signal would differ in a replay.
        while True:
            await workflow.wait_condition(lambda: self._progress.expects_reports)
            await asyncio.sleep(CHECK_INTERVAL_S)
            self._budget.spend()
            if self._progress.expects_reports:
                for part in self._silent.check(self._progress.windows.active):
                    self._spawn(self._check(part))

    async def _send_control(self, part: str) -> None:
        self._budget.spend()
        message = self._progress.control(workflow.info().workflow_id, part)
        try:
            await workflow.get_external_workflow_handle(part).signal(CONTROL_SIGNAL, message)
        except FailureError:
            # A closed part gets no signals.
            await self._check(part)

    async def _check(self, part: str) -> None:
        """Get the status of a part from the server: it may have been terminated."""
        self._budget.spend()
        try:
            # A local activity: it does not count for the account's limit on requests.
            status = await workflow.execute_local_activity_method(
                PartActivities.part_status,
                part,
                start_to_close_timeout=timedelta(seconds=30),
                retry_policy=RetryPolicy(maximum_attempts=3),
                summary="Get the status of a part that does not report",
            )
        except FailureError:
            workflow.logger.warning("the status of a part is not available, trying again later")
            return
        if status.closed and part in self._progress.running:
            self._progress.end_part(part, status.counts)
            self._on_end()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
