"""Registers the worker, and submits a send for each number on standard input."""

import asyncio
import os
import sys

import httpx

INGRESS, ADMIN, WORKER = os.environ["BENCH_BROKER"].split()
AT_ONCE = 50


async def register(client: httpx.AsyncClient) -> None:
    """Let the server find the services of the worker, as soon as both run."""
    async with asyncio.timeout(30):
        while True:
            try:
                answer = await client.post(f"{ADMIN}/deployments", json={"uri": WORKER})
            except httpx.TransportError:
                pass
            else:
                if answer.is_success:
                    return
            await asyncio.sleep(0.1)


async def main() -> None:
    """Submit one invocation per number; it is durable once the server has answered."""
    limit = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(timeout=30) as client, asyncio.TaskGroup() as tasks:
        await register(client)

        async def submit(digits: str) -> None:
            async with limit:
                answer = await client.post(f"{INGRESS}/sends/send/send", json=digits)
                answer.raise_for_status()

        for line in sys.stdin:
            tasks.create_task(submit(line.strip()))


if __name__ == "__main__":
    asyncio.run(main())
