"""Compares the CPU of a provider call over httpx and over aiohttp: `python -m bench.transports`."""

import asyncio
import json
import time
from collections.abc import Callable

import httpx

from send_whatsapp.cgb.transport import track_progress, transport
from simulator.process import simulator

IN_FLIGHT = 50


async def cpu_ms(client: httpx.AsyncClient, calls: int) -> float:
    """Return the CPU milliseconds of this process per call, with 50 calls in flight."""
    limit = asyncio.Semaphore(IN_FLIGHT)

    async def once() -> None:
        async with limit:
            with track_progress():
                response = await client.post("contacts/1/send/text", json={"text": "Hello"})
            response.raise_for_status()

    await asyncio.gather(*(once() for _ in range(100)))
    started = time.process_time()
    await asyncio.gather(*(once() for _ in range(calls)))
    return (time.process_time() - started) / calls * 1000


async def measure(calls: int) -> dict[str, float]:
    """Measure both transports three times, in turns; return the minimum of each."""
    transports: dict[str, Callable[[], httpx.AsyncBaseTransport | None]] = {
        "httpx": lambda: None,
        "aiohttp": transport,
    }
    found: dict[str, list[float]] = {name: [] for name in transports}
    async with simulator("--delay-ms", "50") as provider:
        for _ in range(3):
            for name, make in transports.items():
                headers = {"X-ACCESS-TOKEN": provider.key}
                async with httpx.AsyncClient(
                    base_url=provider.url, headers=headers, transport=make(), trust_env=False
                ) as client:
                    found[name].append(await cpu_ms(client, calls))
    return {name: round(min(times), 2) for name, times in found.items()}


if __name__ == "__main__":
    print(json.dumps({"cpuMsPerCall": asyncio.run(measure(2000))}))
