"""`make chaos`: sends hundreds of messages while everything fails, and checks what arrived."""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from temporalio.client import Client

from send_whatsapp.contract.converter import contract_plugin
from simulator.faults import Fault
from simulator.process import Simulator, simulator
from tools import chaos_turns
from tools.chaos_report import Report, Sent, show
from tools.chaos_traffic import send, send_batch
from tools.dev_server import DevServer, dev_server
from tools.fault_injector import FaultInjector, quiet_runtime, worker_environment
from tools.relay import relay

T = TypeVar("T")

TIMEOUT_MS = 1000
RETRY_ATTEMPTS = 6
RETRY_FOR_S = 30
FAULTS_AT_MOST_S = 900.0
CLOSE_WITHIN_S = 180.0
BATCH_SHARE = 0.3
"""Rows of the batch, in relation to the single sends; it is cancelled while its rows are sent."""

SLOW_MS = 400
SOON = {"retry-after": "1"}

FAULTS = [
    Fault(route="send_*", kind="cut", effect=True, probability=0.04),
    Fault(route="send_*", kind="cut", probability=0.03),
    Fault(route="send_*", kind="reset", effect=True, probability=0.04),
    Fault(route="send_*", kind="hang", effect=True, probability=0.04),
    Fault(route="send_*", kind="hang", probability=0.03),
    Fault(route="send_*", kind="drip", effect=True, probability=0.03),
    Fault(route="send_*", kind="raw", raw="HTTP/1.1 200 OK\r\ncontent-le", probability=0.02),
    Fault(route="send_*", status=500, effect=True, probability=0.04),
    Fault(route="send_*", status=503, probability=0.04),
    Fault(route="send_*", status=429, headers=SOON, probability=0.06),
    Fault(
        route="send_*",
        status=200,
        body={"error": {"code": 429, "message": "slow down"}},
        headers=SOON,
        probability=0.03,
    ),
    Fault(route="send_*", status=400, body={"message": "no"}, probability=0.03),
    Fault(route="send_*", status=200, body={"success": False}, probability=0.03),
    Fault(
        route="send_*",
        status=200,
        body={"success": True},
        effect=True,
        delay_ms=SLOW_MS,
        probability=0.1,
    ),
    Fault(route="find_contact", status=503, probability=0.05),
    Fault(route="find_contact", kind="hang", probability=0.03),
    Fault(route="create_contact", kind="cut", effect=True, probability=0.05),
    Fault(route="list_flows", status=500, probability=0.1),
]


async def chaos(
    folder: Path,
    *,
    seed: int,
    count: int,
    in_flight: int = 30,
    workers: int = 3,
    faults_s: float = FAULTS_AT_MOST_S,
) -> Report:
    """Send `count` single messages and the rows of a batch, half of them with each delivery.

    Returns how each ended. Some are cancelled, expire, or are paused by an operator meanwhile.

    Faults happen until nearly all sends have ended, for at most `faults_s` seconds.
    """
    started = time.monotonic()
    async with (
        simulator() as provider,
        dev_server(folder / "server.log", database=folder / "temporal.db") as server,
        relay(server.address) as connections,
    ):
        await provider.faults(*FAULTS, seed=seed)
        environment = worker_environment(
            TEMPORAL_ADDRESS=connections.address,
            CGB_API_URL=provider.url,
            CGB_API_KEY=provider.key,
            CGB_TIMEOUT=str(TIMEOUT_MS),
            CGB_RETRY_ATTEMPTS=str(RETRY_ATTEMPTS),
            CGB_RETRY_FOR=str(RETRY_FOR_S),
        )
        chance = random.Random(seed)
        rows = int(count * BATCH_SHARE)
        sent = [Sent.numbered(seed, number) for number in range(count + rows)]
        injector = FaultInjector(
            chance, server, connections, environment, folder / "worker.log", workers=workers
        )
        try:
            await _send_all(injector, server, sent[rows:], sent[:rows], seed, in_flight, faults_s)
        finally:
            await injector.stop_workers()
        report = Report(seed, sent, injector.injected)
        await _count_arrived(provider, report)
    report.seconds = time.monotonic() - started
    return report


async def _send_all(
    injector: FaultInjector,
    server: DevServer,
    sent: list[Sent],
    rows: list[Sent],
    seed: int,
    in_flight: int,
    faults_s: float,
) -> None:
    """Send everything while faults happen, then wait until every run is closed."""
    client = await Client.connect(
        server.address, plugins=[contract_plugin()], runtime=quiet_runtime()
    )
    limit = asyncio.Semaphore(in_flight)

    async def bounded(number: int, one: Sent) -> None:
        async with limit:
            await send(client, one, random.Random(f"{seed} {number}"))

    faults = asyncio.create_task(injector.run())
    tasks = [asyncio.create_task(bounded(*numbered)) for numbered in enumerate(sent)]
    tasks.append(asyncio.create_task(send_batch(client, rows, random.Random(seed))))
    await asyncio.wait(tasks[: max(len(tasks) - in_flight, 1)], timeout=faults_s)
    faults.cancel()
    await asyncio.wait([faults])
    ended, late = await asyncio.wait(tasks, timeout=CLOSE_WITHIN_S)
    for task in late:
        task.cancel()
    for task in ended:
        task.result()


async def _count_arrived(provider: Simulator, report: Report) -> None:
    # A message that was on its way when the last worker stopped arrives within this time.
    await asyncio.sleep(2 * SLOW_MS / 1000)
    arrived = Counter(f"+{m['phone'].lstrip('+')}" for m in await provider.inbox())
    for one in report.sent:
        one.arrived = arrived[one.phone]
    report.calls = (await provider.stats())["calls"]


def main() -> None:
    """Run, print the report, and exit with code 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tools.chaos", description=__doc__)
    parser.add_argument("--sends", type=int, default=300)
    parser.add_argument("--in-flight", type=int, default=30)
    parser.add_argument("--turns", action="store_true", help="templates to few people, in turns")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    arguments = parser.parse_args()
    console = Console(highlight=False)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    if arguments.turns:
        if not chaos_turns.run(folder, arguments.seed, console):
            sys.exit(f"Logs and histories are in {folder}")
        shutil.rmtree(folder)
        return
    console.print(
        f"Sending {arguments.sends} messages with seed {arguments.seed}; this takes minutes ..."
    )
    report = asyncio.run(
        chaos(folder, seed=arguments.seed, count=arguments.sends, in_flight=arguments.in_flight)
    )
    show(report, console)
    if report.broken:
        sys.exit(f"Logs and histories are in {folder}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
