"""What `make batch-proof` runs on: a server, a simulator, and two workers that can be killed."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from temporalio.client import Client

from bench.verdict import Kill, compare, seen_sends
from send_whatsapp.client import batches
from send_whatsapp.client.batches import BatchStatus
from send_whatsapp.contract.batch import Row
from send_whatsapp.contract.names import batch_id, part_id
from send_whatsapp.temporal.connection import TemporalUnavailable
from simulator.faults import Fault
from simulator.process import Simulator, simulator
from tools.dev_server import ROOT, DevServer, dev_server

WORKERS = 2

DELAY_MS = 20
"""Time that the provider takes per call."""

TIMEOUT_MS = 10_000
"""Deadline of a call, for rows that are not slow: only a kill shall make a row unknown."""

SLOW_SHARE = 0.01

Incident = Literal["kill one", "kill all", "restart"]


class Proof:
    """A server, a simulator and two workers that can be killed, and one batch.

    One row in a hundred takes `slow_ms`, unless it is 0.
    """

    def __init__(self, server: DevServer, provider: Simulator, slow_ms: int) -> None:
        self.server, self.provider, self.slow_ms = server, provider, slow_ms
        self.key = f"proof-{uuid.uuid4().hex[:8]}"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.kills: list[Kill] = []
        self.arrived = 0
        self._ended = 0
        self._wrong_status: list[str] = []
        self._pauses: list[str] = []

    def start_worker(self) -> None:
        """Start one more worker."""
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("CGB_", "TEMPORAL_"))}
        environment = kept | {
            "TEMPORAL_ADDRESS": self.server.address,
            "CGB_API_URL": self.provider.url,
            "CGB_API_KEY": self.provider.key,
            "CGB_TIMEOUT": str(TIMEOUT_MS + self.slow_ms),
            "LOG_LEVEL": "ERROR",
        }
        command = [sys.executable, str(ROOT / "worker.py")]
        self.workers.append(subprocess.Popen(command, env=environment))

    async def slow_down(self) -> None:
        """Let the provider take long for some rows. What it does happens just before it answers."""
        slow = Fault(
            route="send_text",
            probability=SLOW_SHARE,
            delay_ms=self.slow_ms,
            effect=True,
            status=200,
            body={"success": True},
        )
        await self.provider.faults(*([slow] if self.slow_ms else []))

    async def cause(self, incident: Incident) -> None:
        """Kill one worker or all and start others in their place, or restart the server."""
        if incident == "restart":
            await asyncio.to_thread(self.server.stop)
            await self.server.start()
        else:
            self._kill(1 if incident == "kill one" else len(self.workers))

    def _kill(self, count: int) -> None:
        killed, self.workers = self.workers[:count], self.workers[count:]
        began = time.time()
        for worker in killed:
            worker.send_signal(signal.SIGKILL)
        for worker in killed:
            worker.wait()
        self.kills.append(Kill(began, time.time()))
        for _ in killed:
            self.start_worker()

    async def check_status(self, client: Client, rows: int) -> BatchStatus | None:
        """Return the status, None if the server is away; note if more is reported than arrived."""
        try:
            status = await batches.get_status(client, self.key)
        except TemporalUnavailable:
            return None
        counts = status.counts
        # After the status: what it counts must have arrived by now.
        self.arrived = len({message["phone"] for message in await self.provider.inbox()})
        if counts.accepted > self.arrived:
            self._wrong_status.append(f"{counts.accepted} accepted, but {self.arrived} arrived")
        if counts.total != rows or counts.ended < self._ended:
            self._wrong_status.append(
                f"{counts.summary()}, but {self._ended} of {rows} rows had ended before"
            )
        self._ended = max(self._ended, counts.ended)
        if status.paused:
            self._pauses.append(status.pause_reason or "")
            await batches.resume(client, self.key)
        return status

    async def judge(self, client: Client, rows: list[Row], status: BatchStatus) -> dict[str, Any]:
        """Compare the report of every row with what the simulator saw, and with the counts."""
        report = await batches.outcomes(client, self.key)
        requests = await self.provider.requests("send_text")
        sends = seen_sends(requests, await self.provider.inbox())
        return compare(rows, report, status.counts, sends, self.kills) | {
            "wrongStatus": self._wrong_status[:5],
            "pauses": self._pauses[:5],
            "mostEvents": await self._most_events(client, status.part_count),
        }

    async def _most_events(self, client: Client, parts: int) -> int:
        """Return the events of the longest history of the batch and its parts."""
        batch = batch_id(self.key)
        events = []
        for id_ in (batch, *(part_id(batch, 1, number) for number in range(parts))):
            described = await client.get_workflow_handle(id_).describe()
            events.append(described.raw_description.workflow_execution_info.history_length)
        return max(events)


@asynccontextmanager
async def running_proof(slow_ms: int) -> AsyncIterator[Proof]:
    """Run a server, a simulator and the workers, with their files in a temporary folder."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = await stack.enter_async_context(
            dev_server(folder / "server.log", database=folder / "temporal.db")
        )
        provider = await stack.enter_async_context(simulator("--delay-ms", str(DELAY_MS)))
        proof = Proof(server, provider, slow_ms)
        await proof.slow_down()
        for _ in range(WORKERS):
            proof.start_worker()
        try:
            yield proof
        finally:
            for worker in proof.workers:
                worker.kill()
                worker.wait()
