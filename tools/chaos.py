"""`make chaos`: hundreds of sends while everything fails, with the simulator's inbox as truth."""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from temporalio.client import Client
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

from send_whatsapp.client import sends
from send_whatsapp.client.errors import OutcomeUnknown
from send_whatsapp.client.state import get_state
from send_whatsapp.contract.converter import contract_plugin
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.temporal.connection import TemporalUnavailable
from simulator.faults import Fault
from simulator.process import Simulator, simulator
from tools.chaos_report import Report, Sent, show
from tools.dev_server import DevServer, dev_server
from tools.relay import relay
from tools.trouble import Trouble, worker_environment

T = TypeVar("T")

TIMEOUT_MS = 1000
ATTEMPTS_AFTER_THE_FIRST = 6
TROUBLE_AT_MOST_S = 900.0
CLOSE_WITHIN_S = 180.0
CANCELLED = 0.1
SLOW_MS = 400
SOON = {"retry-after": "1"}

MESSAGES: list[dict[str, Any]] = [
    {"message": "Hello"},
    {"template": "visa_approved", "variables": {"name": "Ada"}},
    {"fileUrl": "https://example.org/a.pdf", "fileType": "document"},
]

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
    trouble_s: float = TROUBLE_AT_MOST_S,
) -> Report:
    """Send `count` messages, half of them under each delivery, and return what became of them.

    There is trouble until nearly all have ended, for `trouble_s` at most.
    """
    began = time.monotonic()
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
            CGB_RETRY_ATTEMPTS=str(ATTEMPTS_AFTER_THE_FIRST),
        )
        chance = random.Random(seed)
        sent = [Sent.numbered(seed, number) for number in range(count)]
        trouble = Trouble(
            chance, server, connections, environment, folder / "worker.log", workers=workers
        )
        try:
            await _under(trouble, server, sent, seed, in_flight, trouble_s)
        finally:
            await trouble.end()
        report = Report(seed, sent, trouble.done)
        await _look_into_the_inbox(provider, report)
    report.seconds = time.monotonic() - began
    return report


async def _under(
    trouble: Trouble,
    server: DevServer,
    sent: list[Sent],
    seed: int,
    in_flight: int,
    trouble_s: float,
) -> None:
    """Send everything while there is trouble; afterwards every run has to close in time."""
    client = await Client.connect(server.address, plugins=[contract_plugin()], runtime=_quiet())
    gate = asyncio.Semaphore(in_flight)

    async def bounded(number: int, one: Sent) -> None:
        async with gate:
            await _send(client, one, random.Random(f"{seed} {number}"))

    harm = asyncio.create_task(trouble.go_on())
    tasks = [asyncio.create_task(bounded(*numbered)) for numbered in enumerate(sent)]
    await asyncio.wait(tasks[: max(len(tasks) - in_flight, 1)], timeout=trouble_s)
    harm.cancel()
    await asyncio.wait([harm])
    ended, late = await asyncio.wait(tasks, timeout=CLOSE_WITHIN_S)
    for task in late:
        task.cancel()
    for task in ended:
        task.result()


def _quiet() -> Runtime:
    """Return a runtime that does not log each call to a server that is down."""
    level = TelemetryFilter(core_level="ERROR", other_level="ERROR")
    return Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter=level)))


async def _send(client: Client, one: Sent, chance: random.Random) -> None:
    """Start one send, cancel it at times, and note how it ended."""
    fields: dict[str, Any] = chance.choice(MESSAGES)
    request = SendWhatsAppRequest.model_validate(
        {"to": one.phone, "delivery": one.delivery} | fields
    )
    # One whose answer got lost and that is unknown already is not started again.
    with suppress(OutcomeUnknown):
        await _persist(lambda: sends.start_send(client, request, key=one.id))
    if chance.random() < CANCELLED:
        await asyncio.sleep(chance.uniform(0, 3))
        state = await _persist(lambda: get_state(client, one.id))
        await _persist(lambda: sends.request_cancel(client, state))
    ended = await _persist(lambda: get_state(client, one.id, wait=True))
    one.outcome = ended.outcome


async def _persist(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask the server until it answers."""
    while True:
        try:
            return await ask()
        except TemporalUnavailable:
            await asyncio.sleep(0.2)


async def _look_into_the_inbox(provider: Simulator, report: Report) -> None:
    # What was on its way when the last worker left arrives in this time.
    await asyncio.sleep(2 * SLOW_MS / 1000)
    arrived = Counter(f"+{m['phone'].lstrip('+')}" for m in await provider.inbox())
    for one in report.sent:
        one.arrived = arrived[one.phone]
    report.calls = (await provider.stats())["calls"]


def main() -> None:
    """Run, print, and end with code 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tools.chaos", description=__doc__)
    parser.add_argument("--sends", type=int, default=300)
    parser.add_argument("--in-flight", type=int, default=30)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    arguments = parser.parse_args()
    console = Console(highlight=False)
    console.print(f"{arguments.sends} sends, seed {arguments.seed}, a few minutes ...")
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    report = asyncio.run(
        chaos(folder, seed=arguments.seed, count=arguments.sends, in_flight=arguments.in_flight)
    )
    show(report, console)
    if report.broken:
        sys.exit(f"logs and histories are kept in {folder}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
