"""Runs the bursts and counts: none lost, none doubled, every accepted one closes."""

import argparse
import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from bench.sends import Bench, memory_mib, stage
from tools.dev_server import free_port

FOLDER = Path(__file__).resolve().parent
CLOSED_WITHIN_S = 900


@asynccontextmanager
async def gateway(bench: Bench) -> AsyncIterator[tuple[str, int]]:
    """Run the gateway as a process; yield its URL and process id."""
    bind = f"127.0.0.1:{free_port()}"
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("GATEWAY_", "TEMPORAL_"))}
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("send-whatsapp")), "gateway"],
        env=kept
        | {
            "GATEWAY_BIND": bind,
            "TEMPORAL_ADDRESS": bench.client.service_client.config.target_host,
            "LOG_LEVEL": "WARNING",
        },
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://{bind}", trust_env=False) as http:
            while not await _is_ready(http):
                await asyncio.sleep(0.1)
        yield f"http://{bind}", process.pid
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)


async def _is_ready(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/readyz")).status_code == 200
    except httpx.ConnectError:
        return False


async def burst(url: str, first: int, requests: int, connections: int) -> dict[str, Any]:
    """Send so many requests at once; return what the load tool saw."""
    asked = {"url": url, "first": first, "requests": requests, "connections": connections}
    tool = await asyncio.create_subprocess_exec(
        "node", str(FOLDER / "burst.js"), json.dumps(asked), stdout=asyncio.subprocess.PIPE
    )
    told, _ = await tool.communicate()
    if tool.returncode != 0:
        raise SystemExit("the load tool failed: see above")
    return dict(json.loads(told))


async def outcome(bench: Bench, accepted: list[str], before: Counter[str]) -> dict[str, Any]:
    """Wait until every run is closed; return what became of the accepted ones."""
    began = time.monotonic()
    while (await bench.client.count_workflows("ExecutionStatus = 'Running'")).count:
        if time.monotonic() - began > CLOSED_WITHIN_S:
            raise SystemExit("runs are still open")
        await asyncio.sleep(0.5)
    arrived = Counter(sent["phone"] for sent in await bench.provider.inbox()) - before
    expected = {f"+49151{key.removeprefix('load-')}" for key in accepted}
    return {
        "allClosedAfterS": round(time.monotonic() - began, 1),
        "lost": len(expected - arrived.keys()),
        "doubled": sum(count > 1 for count in arrived.values()),
        "neverAccepted": len(arrived.keys() - expected),
    }


async def measure(requests: int, connections: int, bursts: int, overload: int) -> dict[str, Any]:
    """Run the bursts, then one over so many connections; return figures, memory in MiB."""
    results: dict[str, Any] = {
        "machine": f"{os.cpu_count()} cores, {platform.platform()}",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "requests": requests,
        "bursts": [],
    }
    async with stage(delay_ms=50) as bench, gateway(bench) as (url, pid):
        results["gatewayMiBBefore"] = round(memory_mib(pid), 1)
        for number, open_ in enumerate([connections] * bursts + [overload]):
            before = Counter(sent["phone"] for sent in await bench.provider.inbox())
            # Numbers apart from those that the stage warms up with.
            told = await burst(url, (number + 10) * 1_000_000, requests, open_)
            accepted = told.pop("accepted")
            told |= {"connections": open_} | await outcome(bench, accepted, before)
            results["bursts"].append(told | {"gatewayMiB": round(memory_mib(pid), 1)})
    return results


def main() -> None:
    """Measure and print JSON; exit code 1 where a message was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few, to see that it works")
    quick = parser.parse_args().quick
    if shutil.which("npm") is None:
        sys.exit("npm is missing: install Node 20")
    subprocess.run(
        ["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=FOLDER, check=True, timeout=300
    )
    size = (40, 10, 1, 20) if quick else (2000, 100, 4, 1000)
    results = asyncio.run(measure(*size))
    print(json.dumps(results, indent=2))
    wrong = [b for b in results["bursts"] if b["lost"] or b["doubled"] or b["neverAccepted"]]
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
