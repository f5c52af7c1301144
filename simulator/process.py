"""The simulator as a process of its own, for demo, tests and benchmarks."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from simulator.faults import Fault

KEY = "demo-key"


class Simulator:
    """A running simulator, by its address."""

    def __init__(self, url: str, pid: int) -> None:
        """`url` is what `CGB_API_URL` takes; `pid` is the process."""
        self.url = url
        self.pid = pid
        self.key = KEY
        self.page = url.removesuffix("api")
        self._http = httpx.AsyncClient(base_url=self.page + "admin/", trust_env=False, timeout=30)

    async def inbox(self, phone: str | None = None) -> list[dict[str, Any]]:
        """Return what arrived, on all phones or one."""
        answer = await self._http.get("inbox", params={"phone": phone} if phone else None)
        return list(answer.json())

    async def requests(self, route: str | None = None) -> list[dict[str, Any]]:
        """Return the requests that came, of all routes or one."""
        found = (await self._http.get("requests")).json()
        return [seen for seen in found if route in (None, seen["route"])]

    async def stats(self) -> dict[str, int]:
        """Return how many calls came and messages arrived."""
        return dict((await self._http.get("stats")).json())

    async def reset(self) -> None:
        """Forget everything, faults included."""
        await self._http.post("reset")

    async def faults(self, *rules: Fault, seed: int = 0) -> None:
        """Put these rules in force instead of the former."""
        body = {"rules": [rule.model_dump() for rule in rules], "seed": seed}
        (await self._http.post("faults", json=body)).raise_for_status()

    async def flows(self, flows: list[dict[str, Any]]) -> None:
        """Replace the flows."""
        (await self._http.post("flows", json=flows)).raise_for_status()

    async def contacts(self, *phones: str) -> None:
        """Make contacts known, stored under these texts."""
        await self._http.post("contacts", json=[{"phone": phone} for phone in phones])

    async def close(self) -> None:
        """Close the admin connection."""
        await self._http.aclose()


@asynccontextmanager
async def simulator(*words: str, port: int = 0) -> AsyncIterator[Simulator]:
    """Run a simulator with these command-line words; it ends with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "simulator",
        *("--port", str(port), "--key", KEY),
        *words,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
    running = Simulator(line.rsplit(" ", 1)[-1].strip(), process.pid)
    try:
        yield running
    finally:
        await running.close()
        if process.returncode is None:
            process.terminate()
        await process.wait()
