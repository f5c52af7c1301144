"""One call for many concurrent callers that need the same answer."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Concurrent calls with one key share one call and its outcome."""

    def __init__(self) -> None:
        self._calls: dict[str, asyncio.Task[T]] = {}

    async def do(self, key: str, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what `call` returns, or raise what it raises.

        The call continues if a caller is cancelled, since others may wait for it.
        """
        task = self._calls.get(key)
        if task is None:
            task = self._calls[key] = asyncio.create_task(call())
            task.add_done_callback(lambda done: self._finished(key, done))
        return await asyncio.shield(task)

    def _finished(self, key: str, task: asyncio.Task[T]) -> None:
        del self._calls[key]
        # Retrieve the exception here: asyncio would log it if every caller has left.
        if not task.cancelled():
            task.exception()
