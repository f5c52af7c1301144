"""Restate: a durable handler whose call of the provider is recorded in its journal (`ctx.run`)."""

import asyncio
import os
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import restate
from hypercorn.asyncio import serve
from hypercorn.config import Config

URL, KEY = os.environ["CGB_API_URL"], os.environ["CGB_API_KEY"]
_, _, WORKER = os.environ["BENCH_BROKER"].split()

RETRIES = restate.RunOptions(
    max_attempts=4, initial_retry_interval=timedelta(seconds=1), retry_interval_factor=2
)

sends = restate.Service("sends")
client = httpx.AsyncClient(base_url=URL, headers={"X-ACCESS-TOKEN": KEY}, timeout=30)


async def send_text(digits: str) -> None:
    """Send the text."""
    response = await client.post(
        f"/contacts/{digits}/send/text", json={"text": "Hello", "channel": "whatsapp"}
    )
    response.raise_for_status()


@sends.handler()
async def send(ctx: restate.Context, digits: str) -> None:
    """Send, as a handler with one recorded step."""
    await ctx.run_typed("send text", send_text, RETRIES, digits=digits)


if __name__ == "__main__":
    config = Config()
    config.bind = [urlsplit(WORKER).netloc]
    config.loglevel = "ERROR"
    # As the documentation advises for production; otherwise connections are closed under way.
    config.h2_max_concurrent_streams = 2147483647
    config.keep_alive_max_requests = 2147483647
    config.keep_alive_timeout = 2147483647
    asyncio.run(serve(restate.app([sends]), config))
