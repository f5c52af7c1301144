"""Several workers in one process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from temporalio.worker import Worker


@asynccontextmanager
async def running(*workers: Worker) -> AsyncIterator[None]:
    """Run the workers until the block ends; then all of them stop at the same time."""
    async with AsyncExitStack() as stack:
        for worker in workers:
            await stack.enter_async_context(worker)
        yield
        await asyncio.gather(*(worker.shutdown() for worker in workers))
