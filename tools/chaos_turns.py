"""`make chaos ARGS=--turns`: templates to few people, each of which must arrive with its own words.

From the command line, a batch and the Python client at once, through two workers that are killed,
and a server that is restarted.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from temporalio.client import Client

from send_whatsapp.client import batches, sends
from send_whatsapp.client.state import get_state
from send_whatsapp.contract.batch import Row
from send_whatsapp.contract.converter import contract_plugin
from send_whatsapp.temporal.connection import TemporalUnavailable
from simulator.process import Simulator, simulator
from tools.chaos_words import PEOPLE, Words, all_words, broken
from tools.dev_server import ROOT, DevServer, dev_server
from tools.fault_injector import quiet_runtime, worker_environment

T = TypeVar("T")

KILLS = 3
RENDERED_AFTER_MS = 700
CLOSE_WITHIN_S = 300.0
COMMANDS_AT_ONCE = 4


async def chaos(folder: Path, seed: int) -> tuple[list[Words], list[str]]:
    """Send everything while workers and the server are lost; return it, and what was broken."""
    words, chance = all_words(), random.Random(seed)
    async with (
        simulator("--render-delay-ms", str(RENDERED_AFTER_MS)) as provider,
        dev_server(folder / "server.log", database=folder / "temporal.db") as server,
    ):
        environment = worker_environment(
            TEMPORAL_ADDRESS=server.address,
            CGB_API_URL=provider.url,
            CGB_API_KEY=provider.key,
            CGB_TIMEOUT="3000",
        )
        workers = _Workers(environment, folder / "worker.log")
        try:
            client = await Client.connect(
                server.address, plugins=[contract_plugin()], runtime=quiet_runtime()
            )
            faults = asyncio.create_task(_inject(workers, server, chance))
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await asyncio.gather(
                    _send_batch(client, [one for one in words if one.source == "batch"]),
                    _send_commands([w for w in words if w.source == "command line"], environment),
                    *(_send_series(client, words, person) for person in range(PEOPLE)),
                )
                await faults
                await asyncio.gather(*(_wait(client, w) for w in words if w.source != "batch"))
        except TimeoutError:
            pass  # Runs that have not closed are reported.
        finally:
            workers.stop()
        texts = await _count_arrived(provider, words)
    return words, broken(words, texts)


class _Workers:
    """Two worker processes; one that is killed is replaced."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._environment, self._log = environment, log
        self._processes = [self._start(), self._start()]

    def _start(self) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as log:
            command = [sys.executable, str(ROOT / "worker.py")]
            return subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    def kill(self, number: int) -> None:
        self._processes[number].kill()
        self._processes[number].wait()
        self._processes[number] = self._start()

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


async def _inject(workers: _Workers, server: DevServer, chance: random.Random) -> None:
    faults: list[int | None] = [0, 1] * KILLS + [None]
    chance.shuffle(faults)
    for fault in faults:
        await asyncio.sleep(chance.uniform(4, 8))
        if fault is not None:
            workers.kill(fault)
            continue
        server.stop(signal.SIGKILL)
        await asyncio.sleep(chance.uniform(0.1, 2))
        await server.start()


async def _send_batch(client: Client, words: Sequence[Words]) -> None:
    """Send the first message of everybody, then the second one of everybody, and so on."""
    in_file = sorted(words, key=lambda one: (one.number, one.person))
    rows = [Row(row=n, key=one.id, request=one.request) for n, one in enumerate(in_file, 1)]
    await _persist(lambda: batches.start(client, "chaos-turns", rows, []))
    while (await _persist(lambda: batches.get_status(client, "chaos-turns"))).running:
        await asyncio.sleep(0.5)
    outcomes = await _persist(lambda: batches.outcomes(client, "chaos-turns"))
    by_key = {row.key: row.outcome for row in outcomes}
    for one in words:
        one.outcome = by_key[one.id]


async def _send_commands(words: Sequence[Words], environment: dict[str, str]) -> None:
    limit = asyncio.Semaphore(COMMANDS_AT_ONCE)

    async def send(one: Words) -> None:
        command = [str(Path(sys.executable).with_name("send-whatsapp")), "send", "--no-wait"]
        command += ["--to", one.phone, "--key", one.id, "--template", "visa_approved"]
        command += ["--var", f"name={one.id}"]
        command += ["--at-most-once"] if one.delivery == "at_most_once" else []
        async with limit:
            # 4: Temporal did not answer, so the same command is run again.
            while await _run(command, environment) == 4:
                await asyncio.sleep(0.5)

    await asyncio.gather(*map(send, words))


async def _run(command: Sequence[str], environment: dict[str, str]) -> int:
    process = await asyncio.create_subprocess_exec(
        *command,
        env=os.environ | environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await process.wait()


async def _send_series(client: Client, words: Sequence[Words], person: int) -> None:
    """Send the client's messages to a person, each after the one before is in the queue."""
    for one in (each for each in words if (each.source, each.person) == ("client", person)):
        await _persist(lambda: sends.start_send(client, one.request, key=one.id))  # noqa: B023
        while not await _is_in_queue(client, one):
            await asyncio.sleep(0.2)


async def _is_in_queue(client: Client, one: Words) -> bool:
    state = await _persist(lambda: get_state(client, one.id))
    progress = state.progress
    return progress is None or "behind" in progress.summary or progress.activity is not None


async def _wait(client: Client, one: Words) -> None:
    one.outcome = (await _persist(lambda: get_state(client, one.id, wait=True))).outcome


async def _count_arrived(provider: Simulator, words: Sequence[Words]) -> list[str]:
    """Count the messages by their words, and return the words of all."""
    while (await provider.stats())["rendering"]:
        await asyncio.sleep(0.1)
    messages = await provider.inbox()
    counts = Counter((message["phone"], message["text"]) for message in messages)
    first: dict[str, float] = {}
    for message in messages:
        first.setdefault(message["text"], message["at"])
    for one in words:
        one.arrived = counts[one.phone, one.text]
        one.arrived_at = first.get(one.text, 0.0)
    return [message["text"] for message in messages]


async def _persist(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat a call to the server until the server answers."""
    while True:
        try:
            return await call()
        except TemporalUnavailable:
            await asyncio.sleep(0.2)


def run(folder: Path, seed: int, console: Console) -> bool:
    """Run, print what became of the messages, and return whether every promise was kept."""
    started = time.monotonic()
    words, found = asyncio.run(chaos(folder, seed))
    for delivery in ("at_least_once", "at_most_once"):
        ours = [one for one in words if one.delivery == delivery]
        outcomes = Counter(one.outcome for one in ours)
        doubled = sum(one.arrived > 1 for one in ours)
        console.print(
            f"{delivery}: {len(ours)} messages, {dict(outcomes)}, {doubled} arrived twice"
        )
    for line in found:
        console.print(f"BROKEN {line}", style="red", soft_wrap=True)
    seconds = time.monotonic() - started
    console.print(f"seed {seed}, {seconds:.0f} s: " + ("BROKEN" if found else "every promise kept"))
    return not found
