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
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from temporalio.client import Client

from send_whatsapp.client import batches
from send_whatsapp.contract.batch import BatchState, Row
from send_whatsapp.contract.converter import contract_plugin
from send_whatsapp.contract.fields import Delivery
from send_whatsapp.contract.names import batch_id, part_id
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.temporal.connection import TemporalUnavailable
from simulator.process import Simulator, simulator
from tools.dev_server import ROOT, DevServer, dev_server

WARNING_LIMIT = 10_240
WORKERS = 2


class Proof:
    """A server, a simulator and two workers that can be killed, and one batch under watch."""

    def __init__(self, server: DevServer, provider: Simulator) -> None:
        """Hold what takes part."""
        self.server, self.provider = server, provider
        self.key = f"proof-{uuid.uuid4().hex[:8]}"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.lies: list[str] = []
        self.ended = self.arrived = 0

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
        words = [sys.executable, str(ROOT / "worker.py")]
        self.workers.append(subprocess.Popen(words, env=environment))

    def kill_worker(self) -> None:
        """Kill the oldest worker, as the machine under it would, and start another one."""
        worker = self.workers.pop(0)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        self.start_worker()

    async def restart_server(self) -> None:
        """Stop the server and start it again with its database."""
        await asyncio.to_thread(self.server.stop)
        await self.server.start()

    async def look(self, client: Client, rows: int) -> tuple[BatchState, bool] | None:
        """Return how the batch says it stands, and note where that is more than what arrived."""
        try:
            state = await batches.get_status(client, self.key)
        except TemporalUnavailable:
            return None
        counts = state.counts
        self.arrived = len({message["phone"] for message in await self.provider.inbox()})
        if counts.accepted > self.arrived:
            self.lies.append(f"{counts.accepted} accepted, but {self.arrived} arrived")
        if counts.total != rows or counts.ended < self.ended:
            self.lies.append(f"{counts.summary()} after {self.ended} had ended, of {rows}")
        self.ended = max(self.ended, counts.ended)
        return state, state.running

    async def judge(self, client: Client, rows: list[Row], state: BatchState) -> dict[str, Any]:
        """Return what became of every row, and what contradicts the promises."""
        report = await batches.outcomes(client, self.key)
        arrived = Counter(message["phone"] for message in await self.provider.inbox())
        by_outcome: Counter[str] = Counter(row.outcome for row in report)
        told = state.counts.model_dump()
        events = []
        for name in [batch_id(self.key)] + [
            part_id(batch_id(self.key), 1, number) for number in range(state.parts)
        ]:
            described = await client.get_workflow_handle(name).describe()
            events.append(described.raw_description.workflow_execution_info.history_length)
        return {
            "rows": len(rows),
            "outcomes": dict(by_outcome),
            "missing": len({row.key for row in rows} - {row.key for row in report}),
            "twiceInReport": len(report) - len({row.key for row in report}),
            "doubled": sum(count > 1 for count in arrived.values()),
            "acceptedButNotArrived": sum(
                row.outcome == "accepted" and row.to not in arrived for row in report
            ),
            "arrivedButDenied": sum(
                row.outcome in ("failed", "cancelled") and row.to in arrived for row in report
            ),
            "unknownThatArrived": sum(
                row.outcome == "unknown" and row.to in arrived for row in report
            ),
            "countsDiffer": {n: c for n, c in told.items() if c != by_outcome.get(n, 0)},
            "lies": self.lies[:5],
            "mostEvents": max(events),
        }

    def broken(self, found: dict[str, Any], delivery: Delivery) -> list[str]:
        """Return the promises that do not hold."""
        zero = ["missing", "twiceInReport", "acceptedButNotArrived", "arrivedButDenied"]
        zero += ["doubled"] if delivery == "at_most_once" else []
        wrong = [name for name in (*zero, "countsDiffer", "lies") if found[name]]
        return wrong + (["mostEvents"] if found["mostEvents"] >= WARNING_LIMIT else [])


@asynccontextmanager
async def stage() -> AsyncIterator[Proof]:
    """Set everything up in a folder of its own."""
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
    """Send a batch through kills and restarts, spread over it; return the judgement."""
    async with stage() as proof:
        client = await Client.connect(proof.server.address, plugins=[contract_plugin()])
        phones = [f"+4915{number:09d}" for number in range(rows)]
        deadline = time.monotonic() + 120 + rows / 5
        whole = [
            Row(
                row=number,
                key=phone,
                request=SendWhatsAppRequest(to=phone, message="Hello", delivery=delivery),
            )
            for number, phone in enumerate(phones, 2)
        ]
        began = time.perf_counter()
        await batches.start(client, proof.key, whole, [])
        incidents = ["kill"] * kills + ["restart"] * restarts
        # The restart comes in the middle, between the kills.
        incidents.sort(key=lambda what: what == "restart")
        incidents = (
            incidents[: kills // 2 + 1] + incidents[kills:] + incidents[kills // 2 + 1 : kills]
        )
        steps = [rows * (n + 1) // (len(incidents) + 1) for n in range(len(incidents))]
        while True:
            looked = await proof.look(client, rows)
            if looked and not looked[1]:
                break
            if time.monotonic() > deadline:
                raise TimeoutError(f"the batch does not end: {looked}")
            if steps and proof.arrived >= steps[0]:
                steps.pop(0)
                if incidents.pop(0) == "kill":
                    proof.kill_worker()
                else:
                    await proof.restart_server()
            await asyncio.sleep(0.2)
        found = await proof.judge(client, whole, looked[0])
        return {
            **found,
            "delivery": delivery,
            "kills": kills,
            "restarts": restarts,
            "incidentsLeft": len(incidents),
            "seconds": round(time.perf_counter() - began),
            "broken": proof.broken(found, delivery),
        }


def main() -> None:
    """Prove and print JSON; the exit code is 1 where a promise does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--restarts", type=int, default=1)
    parser.add_argument("--delivery", choices=["at_most_once", "at_least_once"], default=None)
    given = parser.parse_args()
    deliveries: list[Delivery] = (
        [given.delivery] if given.delivery else ["at_most_once", "at_least_once"]
    )
    found = [
        asyncio.run(prove(given.rows, given.kills, given.restarts, delivery))
        for delivery in deliveries
    ]
    print(json.dumps(found, indent=2))
    sys.exit(any(one["broken"] or one["incidentsLeft"] for one in found))


if __name__ == "__main__":
    main()
