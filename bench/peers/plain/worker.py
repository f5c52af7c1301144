"""Plain asyncio, as the upper limit. Its queue is in memory, so a killed worker loses it."""

import asyncio
import os
import sys
from contextlib import suppress

import httpx

URL, KEY = os.environ["CGB_API_URL"], os.environ["CGB_API_KEY"]
IN_FLIGHT = 50
RETRIES = 3


async def send(client: httpx.AsyncClient, digits: str) -> None:
    """Send the text, with retries and backoff."""
    for attempt in range(RETRIES + 1):
        try:
            response = await client.post(
                f"/contacts/{digits}/send/text", json={"text": "Hello", "channel": "whatsapp"}
            )
            response.raise_for_status()
            return
        except httpx.HTTPError:
            if attempt == RETRIES:
                raise
            await asyncio.sleep(2**attempt)


async def main() -> None:
    """Send to each number on standard input."""
    limit = asyncio.Semaphore(IN_FLIGHT)
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    headers = {"X-ACCESS-TOKEN": KEY}
    async with (
        httpx.AsyncClient(base_url=URL, headers=headers, timeout=30) as client,
        asyncio.TaskGroup() as sends,
    ):

        async def one(digits: str) -> None:
            # Nobody learns of a send that failed for good: there is no queue to report it.
            with suppress(httpx.HTTPError):
                await send(client, digits)
            limit.release()

        while line := await lines.readline():
            await limit.acquire()
            sends.create_task(one(line.decode().strip()))


if __name__ == "__main__":
    asyncio.run(main())
