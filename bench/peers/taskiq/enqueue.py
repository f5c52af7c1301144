"""Enqueues a send for each number on standard input."""

import asyncio
import sys

from tasks import broker, send


async def main() -> None:
    """Enqueue one after the other."""
    await broker.startup()
    for line in sys.stdin:
        await send.kiq(line.strip())
    await broker.shutdown()


asyncio.run(main())
