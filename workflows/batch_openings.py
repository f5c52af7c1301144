"""The timers of a batch for send windows: one for each time at which windows of its rows open."""

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.batch_progress import HistoryBudget
    from workflows.batch_windows import BatchWindows

AT_LEAST = timedelta(milliseconds=1)
"""A timer starts even if its time has passed, so that a replay has the same steps (ADR 0004)."""


class BatchOpenings:
    """Lets parts continue when the windows open for which their rows wait."""

    def __init__(self, windows: BatchWindows, budget: HistoryBudget) -> None:
        self._windows = windows
        self._budget = budget
        self._timers: dict[datetime, asyncio.Task[None]] = {}

    def follow(self) -> None:
        """Start a timer for each opening time that has none."""
        for at in self._windows.openings:
            if at not in self._timers:
                self._timers[at] = asyncio.create_task(self._wait(at))

    def cancel(self) -> None:
        """Wait no longer."""
        for timer in self._timers.values():
            timer.cancel()

    async def _wait(self, at: datetime) -> None:
        self._budget.spend()
        wait = max(AT_LEAST, at - workflow.now())
        await asyncio.sleep(wait.total_seconds())
        self._windows.open(at)
