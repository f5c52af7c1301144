"""Plain asyncio: the limit. Its queue is its memory, so it keeps nothing when it dies."""

import asyncio
import os
import sys
from contextlib import suppress

import httpx

URL, KEY = os.environ["CGB_API_URL"], os.environ["CGB_API_KEY"]
IN_FLIGHT = 50
RETRIES = 3


async def send(client: httpx.AsyncClient, digits: str) -> None:
    """Send the text; try again with backoff."""
    for attempt in range(RETRIES + 1):
        try:
            answer = await client.post(
                f"/contacts/{digits}/send/text", json={"text": "Hello", "channel": "whatsapp"}
            )
            answer.raise_for_status()
            return
        except httpx.HTTPError:
            if attempt == RETRIES:
                raise
            await asyncio.sleep(2**attempt)


async def main() -> None:
    """Send to each number that standard input brings."""
    gate = asyncio.Semaphore(IN_FLIGHT)
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    headers = {"X-ACCESS-TOKEN": KEY}
    async with (
        httpx.AsyncClient(base_url=URL, headers=headers, timeout=30) as client,
        asyncio.TaskGroup() as sends,
    ):

        async def one(digits: str) -> None:
            # What is given up on is nobody's to hear of: that is what a queue is for.
            with suppress(httpx.HTTPError):
                await send(client, digits)
            gate.release()

        while line := await lines.readline():
            await gate.acquire()
            sends.create_task(one(line.decode().strip()))


if __name__ == "__main__":
    asyncio.run(main())
