"""`make batch-proof`: a batch while workers are killed and the server restarts, row by row."""

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
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from temporalio.client import Client

from send_whatsapp.client import batches
from send_whatsapp.client.batches import BatchStatus
from send_whatsapp.contract.batch import Row
from send_whatsapp.contract.converter import contract_plugin
from send_whatsapp.contract.fields import Delivery
from send_whatsapp.contract.names import batch_id, part_id
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.temporal.connection import TemporalUnavailable
from simulator.process import Simulator, simulator
from tools.dev_server import ROOT, DevServer, dev_server

EVENTS_WARNING = 10_240
"""Events of a history at which the server warns."""

WORKERS = 2

MUST_BE_ZERO = (
    "missing",
    "twiceInReport",
    "acceptedButNotArrived",
    "arrivedButDenied",
    "countsDiffer",
    "wrongStatus",
)


class Proof:
    """A server, a simulator and two workers that can be killed, and one batch."""

    def __init__(self, server: DevServer, provider: Simulator) -> None:
        self.server, self.provider = server, provider
        self.key = f"proof-{uuid.uuid4().hex[:8]}"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.arrived = 0
        self._ended = 0
        self._wrong_status: list[str] = []

    def start_worker(self) -> None:
        """Start one more worker."""
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("CGB_", "TEMPORAL_"))}
        environment = kept | {
            "TEMPORAL_ADDRESS": self.server.address,
            "CGB_API_URL": self.provider.url,
            "CGB_API_KEY": self.provider.key,
            "CGB_TIMEOUT": "2000",
            "LOG_LEVEL": "ERROR",
        }
        command = [sys.executable, str(ROOT / "worker.py")]
        self.workers.append(subprocess.Popen(command, env=environment))

    async def cause(self, incident: str) -> None:
        """Kill the oldest worker and start another one, or restart the server."""
        if incident == "kill":
            worker = self.workers.pop(0)
            worker.send_signal(signal.SIGKILL)
            worker.wait()
            self.start_worker()
        else:
            await asyncio.to_thread(self.server.stop)
            await self.server.start()

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
        return status

    async def judge(self, client: Client, rows: list[Row], status: BatchStatus) -> dict[str, Any]:
        """Compare the report of every row with the inbox, and with the counts of the batch."""
        report = await batches.outcomes(client, self.key)
        arrived = Counter(message["phone"] for message in await self.provider.inbox())
        by_outcome: Counter[str] = Counter(row.outcome for row in report)
        reported = {row.key for row in report}
        denied = ("failed", "cancelled")
        return {
            "rows": len(rows),
            "outcomes": dict(by_outcome),
            "missing": len({row.key for row in rows} - reported),
            "twiceInReport": len(report) - len(reported),
            "doubled": sum(count > 1 for count in arrived.values()),
            "acceptedButNotArrived": sum(
                row.outcome == "accepted" and row.to not in arrived for row in report
            ),
            "arrivedButDenied": sum(row.outcome in denied and row.to in arrived for row in report),
            "unknownThatArrived": sum(
                row.outcome == "unknown" and row.to in arrived for row in report
            ),
            "countsDiffer": {
                outcome: count
                for outcome, count in status.counts.model_dump().items()
                if count != by_outcome.get(outcome, 0)
            },
            "wrongStatus": self._wrong_status[:5],
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


def broken_promises(found: dict[str, Any], delivery: Delivery) -> list[str]:
    """Return the results that break a promise."""
    zero = (*MUST_BE_ZERO, *(["doubled"] if delivery == "at_most_once" else []))
    broken = [name for name in zero if found[name]]
    return broken + (["mostEvents"] if found["mostEvents"] >= EVENTS_WARNING else [])


@asynccontextmanager
async def running_proof() -> AsyncIterator[Proof]:
    """Run a server, a simulator and the workers, with their files in a temporary folder."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = await stack.enter_async_context(
            dev_server(folder / "server.log", database=folder / "temporal.db")
        )
        provider = await stack.enter_async_context(simulator("--delay-ms", "20"))
        proof = Proof(server, provider)
        for _ in range(WORKERS):
            proof.start_worker()
        try:
            yield proof
        finally:
            for worker in proof.workers:
                worker.kill()
                worker.wait()


async def prove(rows: int, kills: int, restarts: int, delivery: Delivery) -> dict[str, Any]:
    """Send a batch, with kills and restarts spread over it; return what became of its rows."""
    async with running_proof() as proof:
        client = await Client.connect(proof.server.address, plugins=[contract_plugin()])
        batch = _rows(rows, delivery)
        started = time.perf_counter()
        await batches.start(client, proof.key, batch, [])
        incidents = _incidents(kills, restarts)
        status = await _until_ended(proof, client, rows, incidents)
        found = await proof.judge(client, batch, status)
        return {
            **found,
            "delivery": delivery,
            "kills": kills,
            "restarts": restarts,
            "incidentsLeft": len(incidents),
            "seconds": round(time.perf_counter() - started),
            "broken": broken_promises(found, delivery),
        }


async def _until_ended(
    proof: Proof, client: Client, rows: int, incidents: list[str]
) -> BatchStatus:
    """Wait for the end of the batch; cause the incidents, and remove each from the list."""
    deadline = time.monotonic() + 120 + rows / 5
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


def _incidents(kills: int, restarts: int) -> list[str]:
    """Return the incidents in their order: the restarts in the middle of the kills."""
    before = (kills + 1) // 2
    return ["kill"] * before + ["restart"] * restarts + ["kill"] * (kills - before)


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
    parser.add_argument("--delivery", choices=["at_most_once", "at_least_once"], default=None)
    options = parser.parse_args()
    deliveries: Sequence[Delivery] = (
        [options.delivery] if options.delivery else ["at_most_once", "at_least_once"]
    )
    found = [
        asyncio.run(prove(options.rows, options.kills, options.restarts, delivery))
        for delivery in deliveries
    ]
    print(json.dumps(found, indent=2))
    sys.exit(any(each["broken"] or each["incidentsLeft"] for each in found))


if __name__ == "__main__":
    main()
