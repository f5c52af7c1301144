"""`make callback-proof`: messages with callbacks while workers are killed; no event is missing."""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from temporalio.client import Client

from send_whatsapp.client.sends import start_send
from send_whatsapp.client.state import get_state
from send_whatsapp.contract.converter import contract_plugin
from send_whatsapp.contract.request import SendWhatsAppRequest
from simulator.process import simulator
from tools.callback_receiver import SECRET, Receiver, running
from tools.dev_server import ROOT, dev_server
from tools.fault_injector import worker_environment

WORKERS = 2
KILL_EVERY_S = 2.0
SERVES = b"serving task queue"
STARTS_AT_ONCE = 20
LOST_WITHIN_S = 120.0
"""Time in which an event arrives after the last kill: an attempt that was lost ends after 15 s, and
the next ones follow after 5, 30 s."""


@dataclass
class Proof:
    """What was sent, and what the receiver got.

    `missing` and `unexpected` are ids of events, `wrong` those of events that say something else
    than the outcome of their message.
    """

    messages: int
    kills: int
    calls: int
    missing: set[str]
    unexpected: set[str]
    wrong: set[str]
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether every event was delivered, each under one id."""
        return not self.missing | self.unexpected | self.wrong


async def prove(
    client: Client, folder: Path, environment: Mapping[str, str], *, messages: int
) -> Proof:
    """Send messages with callbacks through workers that are killed until all have been sent.

    `environment` is that of the workers, without the settings of callbacks.
    """
    started = time.monotonic()
    async with running(Receiver(fails_first=True)) as receiver:
        settings = dict(environment) | _declare(receiver, folder)
        killer = _Killer(settings, folder)
        killing = asyncio.create_task(killer.run())
        try:
            expected = await _send(client, settings["TEMPORAL_TASK_QUEUE"], messages)
            killer.stop = True
            await killing
            await _wait_for(receiver, set(expected))
        finally:
            killer.stop = True
            await killing
            killer.end()
        told = {id_: calls[0].event["data"]["status"] for id_, calls in receiver.by_id.items()}
    return Proof(
        messages=messages,
        kills=killer.kills,
        calls=len(receiver.calls),
        missing=set(expected) - set(told),
        unexpected=set(told) - set(expected),
        wrong={id_ for id_, status in told.items() if expected.get(id_, status) != status},
        seconds=time.monotonic() - started,
    )


class _Killer:
    """Runs workers, and kills one after the other until `stop` is set.

    The next one is killed after all have served for a while, so that messages are sent between.
    """

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._environment = environment
        self._logs = [folder / f"worker-{number}.log" for number in range(WORKERS)]
        self._workers = [self._start(log) for log in self._logs]
        self.kills = 0
        self.stop = False

    async def run(self) -> None:
        while not self.stop:
            if not all(SERVES in log.read_bytes() for log in self._logs):
                await asyncio.sleep(0.1)
                continue
            await asyncio.sleep(KILL_EVERY_S)
            index = self.kills % WORKERS
            self._end(self._workers[index])
            self._workers[index] = self._start(self._logs[index])
            self.kills += 1

    def end(self) -> None:
        for worker in self._workers:
            self._end(worker)

    def _start(self, log: Path) -> "subprocess.Popen[bytes]":
        with log.open("wb") as sink:
            return subprocess.Popen(
                [sys.executable, str(ROOT / "worker.py")],
                env=dict(self._environment),
                stdout=sink,
                stderr=sink,
            )

    @staticmethod
    def _end(worker: "subprocess.Popen[bytes]") -> None:
        worker.kill()
        worker.wait()


def _declare(receiver: Receiver, folder: Path) -> dict[str, str]:
    (folder / "secret").write_text(SECRET)
    file = folder / "callbacks.yaml"
    file.write_text(f"callbacks: {{proof: {{url: '{receiver.url}', secret_file: secret}}}}")
    return {"CALLBACKS_FILE": str(file), "CALLBACKS_ALLOW_PRIVATE": "true"}


async def _send(client: Client, task_queue: str, messages: int) -> dict[str, str]:
    """Send, wait for the ends, and return the outcome of each message by the id of its event."""
    slots = asyncio.Semaphore(STARTS_AT_ONCE)

    async def send(number: int) -> tuple[str, str]:
        delivery = "at_most_once" if number % 2 else "at_least_once"
        request = SendWhatsAppRequest.model_validate(
            {"to": f"+4930{number:08}", "message": "x", "delivery": delivery}
        )
        async with slots:
            started = await start_send(client, request, callback="proof", task_queue=task_queue)
            state = await get_state(client, started.id, run_id=started.run_id, wait=True)
        return f"{state.run_id}-{state.outcome}", state.outcome

    return dict(await asyncio.gather(*(send(number) for number in range(messages))))


async def _wait_for(receiver: Receiver, ids: set[str]) -> None:
    deadline = time.monotonic() + LOST_WITHIN_S
    while not ids <= set(receiver.by_id) and time.monotonic() < deadline:
        await asyncio.sleep(0.1)


async def _main(messages: int) -> Proof:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with (
            simulator() as provider,
            dev_server(folder / "server.log", database=folder / "temporal.db") as server,
        ):
            client = await Client.connect(server.address, plugins=[contract_plugin()])
            environment = worker_environment(
                TEMPORAL_ADDRESS=server.address,
                TEMPORAL_TASK_QUEUE="callback-proof",
                CGB_API_URL=provider.url,
                CGB_API_KEY=provider.key,
                CGB_TIMEOUT="2000",
            )
            return await prove(client, folder, environment, messages=messages)


def main() -> None:
    """Print what was proven; exit with 1 if an event is missing or wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1000)
    proof = asyncio.run(_main(parser.parse_args().messages))
    print(
        f"{proof.messages:,} messages, {proof.kills} killed workers, {proof.calls:,} calls of the"
        f" receiver, in {proof.seconds:.0f} s\n{len(proof.missing)} events are missing,"
        f" {len(proof.unexpected)} unexpected, {len(proof.wrong)} wrong"
    )
    sys.exit(0 if proof.holds else 1)


if __name__ == "__main__":
    main()
