"""Coroutines that run beside the main one of a workflow."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Defects:
    """The exceptions of coroutines that should have none.

    The main coroutine of the workflow raises the first one, so that the workflow task fails visibly
    and is tried again. Otherwise the run would wait forever for what that coroutine had to do.
    """

    def __init__(self) -> None:
        self._first: BaseException | None = None

    def __bool__(self) -> bool:
        """Return whether there is one."""
        return self._first is not None

    def add(self, defect: BaseException) -> None:
        """Remember an exception."""
        self._first = self._first or defect

    def check(self) -> None:
        """Raise the first one, if there is one."""
        if self._first:
            raise self._first


class Tasks:
    """Some coroutines of one kind that are running."""

    def __init__(self, defects: Defects) -> None:
        self._defects = defects
        # A dictionary, because it keeps the order, which must be the same in a replay.
        self._running: dict[asyncio.Task[None], None] = {}

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine; its exception becomes one of the defects."""
        task = asyncio.create_task(work)
        self._running[task] = None
        task.add_done_callback(self._ended)

    def cancel(self) -> None:
        """Cancel those that are running."""
        for task in list(self._running):
            task.cancel()

    async def all_ended(self) -> None:
        """Wait until those that are running have ended."""
        await asyncio.gather(*self._running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        if not task.cancelled() and (defect := task.exception()):
            self._defects.add(defect)
