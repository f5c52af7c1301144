"""`make batch-proof`: a batch while workers are killed and the server restarts, row by row.

It runs with a quick provider, and again with one that takes 20 s for one row in a hundred.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Literal, get_args

from temporalio.client import Client

from bench.verdict import Kill, broken_promises, compare, seen_sends
from send_whatsapp.client import batches
from send_whatsapp.client.batches import BatchStatus
from send_whatsapp.contract.batch import Row
from send_whatsapp.contract.converter import contract_plugin
from send_whatsapp.contract.fields import Delivery
from send_whatsapp.contract.names import batch_id, part_id
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.temporal.connection import TemporalUnavailable
from simulator.faults import Fault
from simulator.process import Simulator, simulator
from tools.dev_server import ROOT, DevServer, dev_server

WORKERS = 2
IN_FLIGHT = 100

DELAY_MS = 20
"""Time that the provider takes per call."""

TIMEOUT_MS = 10_000
"""Deadline of a call, for rows that are not slow: only a kill shall make a row unknown."""

SLOW_MS = 20_000
"""Time that it takes for a slow row."""

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
        if os.environ.get("DBG"):
            import pickle

            pickle.dump((report, sends, self.kills), open(os.environ["DBG"], "wb"))
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


async def prove(
    rows: int, kills: int, restarts: int, delivery: Delivery, *, slow_ms: int = 0
) -> dict[str, Any]:
    """Send a batch, with kills and restarts spread over it; return what became of its rows."""
    async with running_proof(slow_ms) as proof:
        client = await Client.connect(proof.server.address, plugins=[contract_plugin()])
        batch = _rows(rows, delivery)
        started = time.perf_counter()
        limits = batches.BatchLimits(in_flight=IN_FLIGHT)
        await batches.start(client, proof.key, batch, [], limits=limits)
        incidents = _incidents(kills, restarts)
        status = await _until_ended(proof, client, rows, incidents)
        found = await proof.judge(client, batch, status)
        again = delivery == "at_least_once"
        return {
            **found,
            "delivery": delivery,
            "slowMs": slow_ms,
            "kills": kills,
            "restarts": restarts,
            "incidentsLeft": len(incidents),
            "seconds": round(time.perf_counter() - started),
            "broken": broken_promises(found, in_flight=IN_FLIGHT, twice_allowed=again),
        }


async def _until_ended(
    proof: Proof, client: Client, rows: int, incidents: list[Incident]
) -> BatchStatus:
    """Wait for the end of the batch; cause the incidents, and remove each from the list."""
    deadline = time.monotonic() + 120 + rows / 5 + 5 * proof.slow_ms / 1000
    due_at = [rows * (n + 1) // (len(incidents) + 1) for n in range(len(incidents))]
    while True:
        status = await proof.check_status(client, rows)
        if status and not status.running:
            return status
        if time.monotonic() > deadline:
            raise TimeoutError(f"the batch did not end: {status}")
        if due_at and proof.arrived >= due_at[0]:
            due_at.pop(0)
            await proof.cause(incidents.pop(0))
        await asyncio.sleep(0.2)


def _incidents(kills: int, restarts: int) -> list[Incident]:
    """Return the incidents in their order: the restarts in the middle of the kills."""
    both: tuple[Incident, Incident] = ("kill one", "kill all")
    killing = [both[number % 2] for number in range(kills)]
    restarting: list[Incident] = ["restart"] * restarts
    before = (kills + 1) // 2
    return killing[:before] + restarting + killing[before:]


def _rows(count: int, delivery: Delivery) -> list[Row]:
    phones = [f"+4915{number:09d}" for number in range(count)]
    return [
        Row(
            row=number,
            key=phone,
            request=SendWhatsAppRequest(to=phone, message="Hello", delivery=delivery),
        )
        for number, phone in enumerate(phones, 2)
    ]


def main() -> None:
    """Print what was found as JSON; exit with 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--restarts", type=int, default=1)
    parser.add_argument("--delivery", choices=get_args(Delivery), help="only this one")
    parser.add_argument("--provider", choices=["quick", "slow"], help="only this one")
    options = parser.parse_args()
    deliveries: Sequence[Delivery] = [options.delivery] if options.delivery else get_args(Delivery)
    providers = {"quick": 0, "slow": SLOW_MS}
    found = [
        asyncio.run(prove(options.rows, options.kills, options.restarts, delivery, slow_ms=slow_ms))
        for name, slow_ms in providers.items()
        if options.provider in (None, name)
        for delivery in deliveries
    ]
    print(json.dumps(found, indent=2))
    sys.exit(any(each["broken"] or each["incidentsLeft"] for each in found))


if __name__ == "__main__":
    main()
