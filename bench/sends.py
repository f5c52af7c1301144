"""`make bench`: latency, throughput and CPU of sends here, beside the plain-HTTP limit."""

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from temporalio.client import Client

from cgb.client import Budget, CGBClient
from contract.converter import contract_plugin
from contract.names import DEFAULT_TASK_QUEUE
from contract.request import SendWhatsAppRequest
from simulator.process import Simulator, simulator
from starters.waiting import no_worker
from tools.dev_server import ROOT, dev_server

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return the CPU time a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mib(pid: int) -> float:
    """Return the resident memory of a process, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def spread(seconds: list[float]) -> dict[str, float]:
    """Return p50, p95 and p99 in milliseconds."""
    ordered = sorted(seconds)
    cuts = statistics.quantiles(ordered, n=100) if len(ordered) > 1 else ordered * 99
    return {f"p{p}": round(cuts[p - 1] * 1000) for p in (50, 95, 99)}


class Bench:
    """One server, one simulator with a fixed delay, one worker."""

    def __init__(
        self, client: Client, provider: Simulator, server_pid: int, worker_pid: int, delay_ms: int
    ) -> None:
        """Hold what is measured."""
        self.client, self.provider = client, provider
        self.server_pid, self.worker_pid, self.delay_ms = server_pid, worker_pid, delay_ms
        self._number = 0

    def phone(self) -> str:
        """Return a number that is not known yet."""
        self._number += 1
        return f"+49151{self._number:08d}"

    async def one(self, **fields: Any) -> float:
        """Send once; return the seconds from start to result."""
        request = SendWhatsAppRequest.model_validate({"message": "Hello", **fields})
        began = time.perf_counter()
        handle = await self.client.start_workflow(
            "SendWhatsApp", request, id=f"b-{uuid.uuid4()}", task_queue=DEFAULT_TASK_QUEUE
        )
        await handle.result()
        return time.perf_counter() - began

    async def many(self, count: int, in_flight: int, phones: list[str]) -> dict[str, Any]:
        """Send so many texts with so many in flight; return rate, latency and CPU."""
        before = cpu_seconds(self.worker_pid), cpu_seconds(self.server_pid)
        seconds, elapsed = await flood(
            count, in_flight, lambda i: self.one(to=phones[i % len(phones)])
        )
        worker = cpu_seconds(self.worker_pid) - before[0]
        server = cpu_seconds(self.server_pid) - before[1]
        return {
            "sends": count,
            "inFlight": in_flight,
            "perSecond": round(count / elapsed, 1),
            "ms": spread(seconds),
            "workerCpuSecondsPer1000": round(worker / count * 1000, 1),
            "serverCpuSecondsPer1000": round(server / count * 1000, 1),
        }


async def flood(
    count: int, in_flight: int, once: Callable[[int], Awaitable[float]]
) -> tuple[list[float], float]:
    """Run `once` so many times with a bound; return the single times and the whole one."""
    gate, seconds = asyncio.Semaphore(in_flight), []

    async def bounded(number: int) -> None:
        async with gate:
            seconds.append(await once(number))

    began = time.perf_counter()
    await asyncio.gather(*(bounded(number) for number in range(count)))
    return seconds, time.perf_counter() - began


@asynccontextmanager
async def stage(delay_ms: int) -> AsyncIterator[Bench]:
    """Set everything up in a folder of its own, warmed up."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = await stack.enter_async_context(
            dev_server(folder / "server.log", database=folder / "temporal.db")
        )
        provider = await stack.enter_async_context(simulator("--delay-ms", str(delay_ms)))
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("CGB_", "TEMPORAL_"))}
        environment = kept | {
            "TEMPORAL_ADDRESS": server.address,
            "CGB_API_URL": provider.url,
            "CGB_API_KEY": provider.key,
            "LOG_LEVEL": "WARNING",
        }
        worker = subprocess.Popen([sys.executable, str(ROOT / "worker.py")], env=environment)
        stack.callback(worker.wait)
        stack.callback(worker.terminate)
        client = await Client.connect(server.address, plugins=[contract_plugin()])
        while await no_worker(client, DEFAULT_TASK_QUEUE):
            await asyncio.sleep(0.1)
        assert server.process is not None
        bench = Bench(client, provider, server.process.pid, worker.pid, delay_ms)
        await flood(50, 10, lambda _: bench.one(to=bench.phone()))
        yield bench


async def plain_http(bench: Bench, count: int, in_flight: int, phones: list[str]) -> dict[str, Any]:
    """Return the limit: the same POST from plain asyncio, which keeps no history."""
    async with CGBClient(bench.provider.url, bench.provider.key) as client:

        async def once(number: int) -> float:
            began = time.perf_counter()
            digits = phones[number % len(phones)][1:]
            await client.send_text(digits, "Hello", Budget.of(30, "bench"))
            return time.perf_counter() - began

        seconds, elapsed = await flood(count, in_flight, once)
    return {"inFlight": in_flight, "perSecond": round(count / elapsed, 1), "ms": spread(seconds)}


async def measure(*, quick: bool) -> dict[str, Any]:
    """Measure everything once; `quick` keeps the program alive in tests."""
    alone, burst = (5, 20) if quick else (200, 2000)
    async with stage(delay_ms=50) as bench:
        phones = [bench.phone() for _ in range(min(burst, 500))]
        results: dict[str, Any] = {
            "machine": f"{os.cpu_count()} cores, {platform.platform()}",
            "python": platform.python_version(),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "providerMs": bench.delay_ms,
            "newContact": spread([await bench.one(to=bench.phone()) for _ in range(alone)]),
            "knownContact": spread([await bench.one(to="+4915100000001") for _ in range(alone)]),
            "template": spread(
                [
                    await bench.one(to="+4915100000001", template="visa_approved")
                    for _ in range(alone)
                ]
            ),
        }
        await flood(len(phones), 50, lambda i: bench.one(to=phones[i]))
        results["throughput"] = [
            await bench.many(burst, in_flight, phones) for in_flight in (50, 200)
        ]
        results["plainHttp"] = await plain_http(bench, burst, 50, phones)
        results["workerMiB"] = round(memory_mib(bench.worker_pid))
    return results


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few sends, to see that it works")
    print(json.dumps(asyncio.run(measure(quick=parser.parse_args().quick)), indent=2))


if __name__ == "__main__":
    main()
