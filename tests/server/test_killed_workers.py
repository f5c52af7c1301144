"""Never twice, never lost, whenever a worker is killed, stopped or frozen."""

import asyncio
import json
import os
import re
import signal
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from temporalio.client import Client

from settings import WorkerSettings
from simulator.process import Simulator
from starters import client as sends
from tests.conftest import Bench, new_phone, until
from tests.server.conftest import ProcessOn
from tools.dev_server import DevServer
from tools.relay import Stop, relay

POST = b"/send/text"

# What has become of both sends when the worker is killed, and how they end: outcome and messages.
KILLED = {
    "during the lookup": (Stop(b"find_by_custom_field"), ("accepted", 1), ("accepted", 1)),
    "before the POST": (Stop(POST, 0), ("unknown", 0), ("accepted", 1)),
    "mid headers": (Stop(POST, 100), ("unknown", 0), ("accepted", 1)),
    "after the body": (Stop(POST, None), ("unknown", 1), ("accepted", 2)),
    "after the answer": (Stop(POST, None), ("unknown", 1), ("accepted", 2)),
    "before the completion": (Stop(POST, None), ("unknown", 1), ("accepted", 2)),
}


class Both:
    """Two sends of the same text, one under each delivery, to a person each."""

    def __init__(self, client: Client, provider: Simulator, settings: WorkerSettings) -> None:
        self.bench = Bench(client, settings)
        self.provider = provider
        self.phones = {delivery: new_phone() for delivery in ("at_least_once", "at_most_once")}
        self.runs: dict[str, sends.Started] = {}

    async def start(self) -> None:
        for delivery, phone in self.phones.items():
            self.runs[delivery] = await self.bench.start(to=phone, message="x", delivery=delivery)

    async def all_arrived(self) -> bool:
        return len(await self.provider.inbox()) == 2

    async def ends(self) -> dict[str, tuple[str, int]]:
        """Wait for the runs; return the outcome and the messages that arrived, by delivery."""
        found = {}
        for delivery, run in self.runs.items():
            state = await sends.get_state(self.bench.client, run.id, wait=True)
            messages = await self.provider.inbox(self.phones[delivery])
            found[delivery] = (str(state.outcome), len(messages))
        return found


@pytest.mark.parametrize("moment", KILLED)
async def test_a_worker_killed_at_each_point_of_a_send(
    client: Client,
    server: DevServer,
    provider: Simulator,
    settings_for: Callable[..., WorkerSettings],
    worker_process: ProcessOn,
    worker_log: Path,
    moment: str,
) -> None:
    stop, at_most_once, at_least_once = KILLED[moment]
    settings = settings_for(CGB_TIMEOUT="3000", CGB_RETRY_ATTEMPTS="2")
    both = Both(client, provider, settings)
    async with relay(provider.url, stop) as http, relay(server.address) as grpc:
        api_url = provider.url.replace(str(http.target_port), str(http.port))
        with worker_process(settings, address=grpc.address, api_url=api_url) as first:
            await both.start()
            await until(lambda: http.stopped == 2)
            if stop.passing is None:
                await until(both.all_arrived)
            if moment in ("after the answer", "before the completion"):
                grpc.hold()
                http.resume()
                await until(lambda: _answers(worker_log) == 2)
            if moment == "before the completion":
                await until(lambda: len(_completions(grpc.swallowed)) == 2)
            os.kill(first.pid, signal.SIGKILL)
            first.wait()
    with worker_process(settings):
        assert await both.ends() == {"at_most_once": at_most_once, "at_least_once": at_least_once}


async def test_a_worker_told_to_stop_lets_the_send_in_flight_end(
    client: Client,
    provider: Simulator,
    settings_for: Callable[..., WorkerSettings],
    worker_process: ProcessOn,
    worker_log: Path,
) -> None:
    settings = settings_for(CGB_TIMEOUT="10000")
    both = Both(client, provider, settings)
    async with relay(provider.url, Stop(POST, None)) as http:
        api_url = provider.url.replace(str(http.target_port), str(http.port))
        with worker_process(settings, api_url=api_url) as process:
            await both.start()
            await until(lambda: http.stopped == 2)
            process.send_signal(signal.SIGTERM)
            await until(lambda: "what is in flight may end" in worker_log.read_text())
            http.resume()
            assert await asyncio.to_thread(process.wait, 30) == 0
    with worker_process(settings):
        accepted = ("accepted", 1)
        assert await both.ends() == {"at_most_once": accepted, "at_least_once": accepted}


async def test_a_frozen_worker_that_wakes_up_late_sends_no_second_time(
    client: Client,
    server: DevServer,
    provider: Simulator,
    settings_for: Callable[..., WorkerSettings],
    worker_process: ProcessOn,
    worker_log: Path,
) -> None:
    settings = settings_for(CGB_TIMEOUT="500")
    both = Both(client, provider, settings)
    async with relay(provider.url, Stop(POST, None)) as http, relay(server.address) as grpc:
        api_url = provider.url.replace(str(http.target_port), str(http.port))
        with worker_process(settings, address=grpc.address, api_url=api_url) as frozen:
            await both.start()
            await until(lambda: http.stopped == 2)
            os.kill(frozen.pid, signal.SIGSTOP)
            # Else the polls that it has open would swallow the next attempts.
            grpc.cut()
            with worker_process(settings):
                expected = {"at_most_once": ("unknown", 1), "at_least_once": ("accepted", 2)}
                assert await both.ends() == expected
                os.kill(frozen.pid, signal.SIGCONT)
                await until(lambda: _answers(worker_log, "lost") == 2)
                assert await both.ends() == expected


def _answers(log: Path, status: str = "200") -> int:
    """Return how many sends have ended so, as the workers see it."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return sum(
        line["message"] == "provider call"
        and line["route"].endswith("/send/text")
        and line["status"] == status
        for line in lines
    )


def _completions(sent: bytearray) -> set[bytes]:
    """Return the completions of sends among what a worker sent to the server, which is gzipped."""
    found = set()
    for place in re.finditer(rb"\x1f\x8b\x08", sent):
        with suppress(zlib.error):
            message = zlib.decompressobj(wbits=31).decompress(sent[place.start() :])
            if b"message_id" in message:
                found.add(message)
    return found
