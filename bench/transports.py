"""`python -m bench.transports`: CPU of one provider call over httpx's and aiohttp's connections."""

import asyncio
import json
import time
from collections.abc import Callable

import httpx

from send_whatsapp.cgb.transport import track_progress, transport
from simulator.process import simulator

IN_FLIGHT = 50


async def cpu_ms(client: httpx.AsyncClient, calls: int) -> float:
    """Return the CPU milliseconds of this process for one call, with 50 in flight."""
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def once() -> None:
        async with gate:
            with track_progress():
                answer = await client.post("contacts/1/send/text", json={"text": "Hello"})
            answer.raise_for_status()

    await asyncio.gather(*(once() for _ in range(100)))
    began = time.process_time()
    await asyncio.gather(*(once() for _ in range(calls)))
    return (time.process_time() - began) / calls * 1000


async def measure(calls: int) -> dict[str, float]:
    """Measure both ways in turn, three times each; return the smallest of each."""
    ways: dict[str, Callable[[], httpx.AsyncBaseTransport | None]] = {
        "httpx": lambda: None,
        "aiohttp": transport,
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    async with simulator("--delay-ms", "50") as provider:
        for _ in range(3):
            for name, make in ways.items():
                headers = {"X-ACCESS-TOKEN": provider.key}
                async with httpx.AsyncClient(
                    base_url=provider.url, headers=headers, transport=make(), trust_env=False
                ) as client:
                    found[name].append(await cpu_ms(client, calls))
    return {name: round(min(times), 2) for name, times in found.items()}


if __name__ == "__main__":
    print(json.dumps({"cpuMsPerCall": asyncio.run(measure(2000))}))
