"""Batches measured here: rate, CPU, history, memory, and an urgent send beside a running batch."""

import argparse
import asyncio
import json
import os
import platform
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from bench.sends import Bench, cpu_seconds, memory_mib, spread, stage
from contract.batch import Counts, Row
from contract.names import batch_id, part_id
from contract.request import SendWhatsAppRequest
from starters import batch as batches

KNOWN = 2000


class Run:
    """One batch that is measured."""

    def __init__(self, bench: Bench, phones: list[str]) -> None:
        """Prepare rows for these phones."""
        self.bench = bench
        self.key = f"bench-{uuid.uuid4().hex[:8]}"
        self.rows = [
            Row(row=n, key=phone, request=SendWhatsAppRequest(to=phone, message="Hello"))
            for n, phone in enumerate(phones, 2)
        ]
        self.memory: list[tuple[float, float]] = []

    async def to_the_end(self, pace: batches.Pace | None = None) -> Counts:
        """Send every row and return the rows by outcome; memory is noted once a second."""
        await batches.start(self.bench.client, self.key, self.rows, [], pace=pace)
        while True:
            state, running = await batches.state(self.bench.client, self.key)
            self.memory.append(
                (memory_mib(self.bench.worker_pid), memory_mib(self.bench.server_pid))
            )
            if not running:
                return state.counts
            await asyncio.sleep(1 if len(self.rows) > 5000 else 0.1)

    async def measured(self, pace: batches.Pace | None = None) -> dict[str, Any]:
        """Send every row; return rate and CPU."""
        pids = (self.bench.worker_pid, self.bench.server_pid)
        before = [cpu_seconds(pid) for pid in pids]
        began = time.perf_counter()
        counts = await self.to_the_end(pace)
        elapsed = time.perf_counter() - began
        worker, server = (cpu_seconds(pid) - b for pid, b in zip(pids, before, strict=True))
        thousands = len(self.rows) / 1000
        return {
            "rows": len(self.rows),
            "accepted": counts.accepted,
            "perSecond": round(len(self.rows) / elapsed, 1),
            "workerCpuSecondsPer1000": round(worker / thousands, 1),
            "serverCpuSecondsPer1000": round(server / thousands, 1),
            "cpuSecondsPer1000": round((worker + server) / thousands, 1),
        }

    async def histories(self) -> dict[str, Any]:
        """Return events and bytes of the batch's latest run and of its first part."""
        batch = batch_id(self.key)
        told = {}
        for name, workflow_id in (("batch", batch), ("part", part_id(batch, 1, 0))):
            handle = self.bench.client.get_workflow_handle(workflow_id)
            info = (await handle.describe()).raw_description.workflow_execution_info
            told[name] = {"events": info.history_length, "bytes": info.history_size_bytes}
        return told


async def urgent(bench: Bench, phones: list[str]) -> dict[str, Any]:
    """Return the latency of single sends alone, and while a batch keeps the worker busy."""
    alone = [await bench.one(to=phones[0]) for _ in range(20)]
    run = Run(bench, phones)
    sending = asyncio.create_task(run.to_the_end())
    beside: list[float] = []
    await asyncio.sleep(2)
    while not sending.done() and len(beside) < 50:
        beside.append(await bench.one(to=phones[0]))
    await sending
    return {"aloneMs": spread(alone), "besideABatchMs": spread(beside), "sends": len(beside)}


async def memory(rows: int) -> dict[str, Any]:
    """Return memory of worker and server at each tenth of a long batch."""
    async with stage(delay_ms=5) as bench:
        run = Run(bench, [bench.phone() for _ in range(rows)])
        counts = await run.to_the_end(batches.Pace(in_flight=200))
        step = max(1, len(run.memory) // 10)
        return {
            "rows": rows,
            "accepted": counts.accepted,
            "workerMiB": [round(worker) for worker, _ in run.memory[::step]],
            "serverMiB": [round(server) for _, server in run.memory[::step]],
            "histories": await run.histories(),
        }


async def measure(rows: int) -> dict[str, Any]:
    """Measure new and known contacts, histories, an urgent send, and single sends beside."""
    async with stage(delay_ms=50) as bench:
        phones = [bench.phone() for _ in range(rows)]
        fresh, again = Run(bench, phones), Run(bench, phones)
        return {
            "newContacts": await fresh.measured(),
            "knownContacts": await again.measured(),
            "histories": await again.histories(),
            "singleSends": await bench.many(min(rows, 500), 100, phones),
            "urgent": await urgent(bench, phones),
        }


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=KNOWN, help="rows of a batch")
    parser.add_argument("--memory", action="store_true", help="memory over one long batch")
    given = parser.parse_args()
    found = {
        "machine": f"{os.cpu_count()} cores, {platform.platform()}",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load": os.getloadavg()[0],
        **asyncio.run(memory(given.rows) if given.memory else measure(given.rows)),
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
