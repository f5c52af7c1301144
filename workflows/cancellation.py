"""Work that continues when its workflow is cancelled, so that the run ends with the truth."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def finish(work: Coroutine[Any, Any, T], on_cancel: Callable[[], None]) -> T:
    """Return the result of the work; call `on_cancel` each time the caller is cancelled meanwhile.

    If the work ends at the moment of a cancellation, its own end counts.
    """
    task = asyncio.create_task(work)
    while True:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.done():
                return task.result()
            on_cancel()
