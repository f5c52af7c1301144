"""Runs the simulator as a process and calls its admin API, for demo, tests and benchmarks."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from simulator.faults import Fault

KEY = "demo-key"


class Simulator:
    """A running simulator. `url` is the value of `CGB_API_URL`, `pid` the id of the process."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self.pid = pid
        self.key = KEY
        self.page = url.removesuffix("api")
        self._http = httpx.AsyncClient(base_url=self.page + "admin/", trust_env=False, timeout=30)

    async def inbox(self, phone: str | None = None) -> list[dict[str, Any]]:
        """Return the messages that arrived, on all phones or on one."""
        answer = await self._http.get("inbox", params={"phone": phone} if phone else None)
        return list(answer.json())

    async def requests(self, route: str | None = None) -> list[dict[str, Any]]:
        """Return the requests that the provider received, of all routes or of one."""
        found = (await self._http.get("requests")).json()
        return [seen for seen in found if route in (None, seen["route"])]

    async def stats(self) -> dict[str, int]:
        """Return counts: `calls` received, `messages` arrived, flows that wait for `rendering`."""
        return dict((await self._http.get("stats")).json())

    async def reset(self) -> None:
        """Restore the state in which the simulator started, without faults."""
        await self._http.post("reset")

    async def faults(self, *rules: Fault, seed: int = 0) -> None:
        """Replace the rules."""
        body = {"rules": [rule.model_dump() for rule in rules], "seed": seed}
        (await self._http.post("faults", json=body)).raise_for_status()

    async def flows(self, flows: list[dict[str, Any]]) -> None:
        """Replace the flows."""
        (await self._http.post("flows", json=flows)).raise_for_status()

    async def contacts(self, *phones: str) -> None:
        """Create contacts with exactly these phones."""
        await self._http.post("contacts", json=[{"phone": phone} for phone in phones])

    async def change_contact(self, phone: str, **changes: Any) -> None:
        """Create a contact, or change its `subscribed`, names of `tags` or `fields`."""
        await self._http.post("contacts", json=[{"phone": phone} | changes])

    async def all_contacts(self) -> list[dict[str, Any]]:
        """Return every contact as the provider's API shows it, with its phone."""
        return list((await self._http.get("contacts")).json())

    async def render_after(self, delay_ms: int) -> None:
        """Render each flow this long after it was accepted, from the contact's fields then."""
        await self._http.post("rendering", json={"delay_ms": delay_ms})

    async def custom_fields(self, fields: list[dict[str, Any]]) -> None:
        """Replace the account's custom fields."""
        (await self._http.post("custom_fields", json=fields)).raise_for_status()

    async def close(self) -> None:
        """Close the connection to the admin API."""
        await self._http.aclose()


@asynccontextmanager
async def simulator(*options: str, port: int = 0) -> AsyncIterator[Simulator]:
    """Run a simulator with these command-line options until the block ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "simulator",
        *("--port", str(port), "--key", KEY),
        *options,
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
