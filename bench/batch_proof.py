"""`make batch-proof`: a batch while workers are killed and the server restarts, row by row.

It runs with a quick provider, and again with one that takes 20 s for one row in a hundred.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from typing import Any, get_args

from temporalio.client import Client

from bench.proof_stage import Incident, Proof, running_proof
from bench.verdict import broken_promises
from send_whatsapp.client import batches
from send_whatsapp.client.batches import BatchStatus
from send_whatsapp.contract.batch import Row
from send_whatsapp.contract.converter import contract_plugin
from send_whatsapp.contract.fields import Delivery
from send_whatsapp.contract.request import SendWhatsAppRequest

IN_FLIGHT = 100

SLOW_MS = 20_000
"""Time that it takes for a slow row."""


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
