"""Sends bursts of requests, and counts the messages that were lost or sent twice."""

import argparse
import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from temporalio.client import Client

from send_whatsapp.contract.names import DEFAULT_TASK_QUEUE
from send_whatsapp.temporal.task_queue import no_worker
from simulator.process import Simulator, simulator
from tools.dev_server import ROOT, dev_server, free_port

FOLDER = Path(__file__).resolve().parent
CLOSED_WITHIN_S = 900
GATEWAY = [str(Path(sys.executable).with_name("send-whatsapp")), "gateway"]
WORKER = [sys.executable, str(ROOT / "worker.py")]


@dataclass
class System:
    """Server, provider, worker and gateway, each a separate process."""

    client: Client
    provider: Simulator
    url: str
    gateway_pid: int

    def gateway_mib(self) -> float:
        """Return the gateway's resident memory, in MiB."""
        pages = int(Path(f"/proc/{self.gateway_pid}/statm").read_text().split()[1])
        return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


@asynccontextmanager
async def program(command: list[str], environment: Mapping[str, str]) -> AsyncIterator[int]:
    """Run a command until the block ends; yield its process id."""
    process = subprocess.Popen(command, env=environment)
    try:
        yield process.pid
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)


@asynccontextmanager
async def running_system() -> AsyncIterator[System]:
    """Start everything in a temporary folder and stop it when the block ends."""
    ours = ("CGB_", "GATEWAY_", "TEMPORAL_")
    environment = {n: v for n, v in os.environ.items() if not n.startswith(ours)}
    bind = f"127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with (
            dev_server(folder / "server.log", database=folder / "temporal.db") as server,
            simulator("--delay-ms", "50") as provider,
        ):
            environment |= {
                "TEMPORAL_ADDRESS": server.address,
                "CGB_API_URL": provider.url,
                "CGB_API_KEY": provider.key,
                "GATEWAY_BIND": bind,
                "LOG_LEVEL": "WARNING",
            }
            async with (
                program(WORKER, environment),
                program(GATEWAY, environment) as gateway,
                httpx.AsyncClient(base_url=f"http://{bind}", trust_env=False) as http,
            ):
                client = await Client.connect(server.address)
                while await no_worker(client, DEFAULT_TASK_QUEUE) or not await _is_ready(http):
                    await asyncio.sleep(0.1)
                yield System(client, provider, f"http://{bind}", gateway)


async def _is_ready(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/readyz")).status_code == 200
    except httpx.ConnectError:
        return False


async def burst(url: str, first: int, requests: int, connections: int) -> dict[str, Any]:
    """Send `requests` over so many connections; return what the load tool measured."""
    options = {"url": url, "first": first, "requests": requests, "connections": connections}
    tool = await asyncio.create_subprocess_exec(
        "node", str(FOLDER / "burst.js"), json.dumps(options), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await tool.communicate()
    if tool.returncode != 0:
        raise SystemExit("the load tool failed: see above")
    return dict(json.loads(output))


async def count_messages(
    system: System, accepted: list[str], before: Counter[str]
) -> dict[str, Any]:
    """Wait until every run is closed; compare what was accepted with what the provider got.

    `before` are the messages that the provider had before the burst, by phone number.
    """
    started_at = time.monotonic()
    while (await system.client.count_workflows("ExecutionStatus = 'Running'")).count:
        if time.monotonic() - started_at > CLOSED_WITHIN_S:
            raise SystemExit("runs are still open")
        await asyncio.sleep(0.5)
    arrived = Counter(sent["phone"] for sent in await system.provider.inbox()) - before
    expected = {f"+49151{key.removeprefix('load-')}" for key in accepted}
    return {
        "allClosedAfterS": round(time.monotonic() - started_at, 1),
        "lost": len(expected - arrived.keys()),
        "doubled": sum(count > 1 for count in arrived.values()),
        "neverAccepted": len(arrived.keys() - expected),
    }


async def measure(requests: int, connections: int, bursts: int, overload: int) -> dict[str, Any]:
    """Run `bursts`, then one with `overload` connections; return the figures, memory in MiB."""
    results: dict[str, Any] = {
        "machine": f"{os.cpu_count()} cores, {platform.platform()}",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "requests": requests,
        "bursts": [],
    }
    async with running_system() as system:
        results["gatewayMiBBefore"] = system.gateway_mib()
        for number, count in enumerate([connections] * bursts + [overload]):
            before = Counter(sent["phone"] for sent in await system.provider.inbox())
            result = await burst(system.url, number * 1_000_000, requests, count)
            accepted = result.pop("accepted")
            result |= {"connections": count} | await count_messages(system, accepted, before)
            results["bursts"].append(result | {"gatewayMiB": system.gateway_mib()})
    return results


def main() -> None:
    """Measure and print JSON; exit with 1 if a message was lost or sent twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few requests, to see that it works")
    quick = parser.parse_args().quick
    if shutil.which("npm") is None:
        sys.exit("npm is missing: install Node 20")
    subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--silent", "--no-audit", "--no-fund"],
        cwd=FOLDER,
        check=True,
        timeout=300,
    )
    size = (40, 10, 1, 20) if quick else (2000, 100, 4, 1000)
    results = asyncio.run(measure(*size))
    print(json.dumps(results, indent=2))
    wrong = [b for b in results["bursts"] if b["lost"] or b["doubled"]]
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
