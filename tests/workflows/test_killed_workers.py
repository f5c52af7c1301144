"""Delivery guarantees while a worker is killed, stopped or frozen."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from temporalio.client import Client

from send_whatsapp.settings import WorkerSettings
from simulator.process import Simulator
from tests.conftest import ProcessOn, until
from tests.workflows.conftest import BUSY_S, POST, Both, answers, completions
from tools.dev_server import DevServer
from tools.relay import Stop, relay

# Workers start several times in a test, which takes long on a busy machine.
pytestmark = pytest.mark.timeout(300)

# When the worker is killed, and how each send ends: outcome and number of messages.
KILLED = {
    "during the lookup": (Stop(b"find_by_custom_field"), ("accepted", 1), ("accepted", 1)),
    "before the POST": (Stop(POST, 0), ("unknown", 0), ("accepted", 1)),
    "mid headers": (Stop(POST, 100), ("unknown", 0), ("accepted", 1)),
    "after the body": (Stop(POST, None), ("unknown", 1), ("accepted", 2)),
    "after the answer": (Stop(POST, None), ("unknown", 1), ("accepted", 2)),
    "before the completion": (Stop(POST, None), ("unknown", 1), ("accepted", 2)),
}


@pytest.mark.parametrize("moment", KILLED)
async def test_a_kill_of_the_worker_keeps_the_guarantee_at_each_point_of_a_send(
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
            await until(lambda: http.stopped == 2, BUSY_S)
            if stop.passing is None:
                await until(both.all_arrived)
            if moment in ("after the answer", "before the completion"):
                grpc.hold()
                http.resume()
                await until(lambda: answers(worker_log) == 2)
            if moment == "before the completion":
                await until(lambda: len(completions(grpc.swallowed)) == 2)
            os.kill(first.pid, signal.SIGKILL)
            first.wait()
    with worker_process(settings):
        assert await both.ends() == {"at_most_once": at_most_once, "at_least_once": at_least_once}


async def test_a_worker_that_gets_sigterm_finishes_the_send_in_flight(
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
            await until(lambda: http.stopped == 2, BUSY_S)
            process.send_signal(signal.SIGTERM)
            await until(lambda: "running activities may finish" in worker_log.read_text())
            http.resume()
            assert await asyncio.to_thread(process.wait, 30) == 0
    with worker_process(settings):
        accepted = ("accepted", 1)
        assert await both.ends() == {"at_most_once": accepted, "at_least_once": accepted}


async def test_a_frozen_worker_that_wakes_up_late_does_not_send_again(
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
            await until(lambda: http.stopped == 2, BUSY_S)
            os.kill(frozen.pid, signal.SIGSTOP)
            # Otherwise its open polls would take the next attempts.
            grpc.cut()
            with worker_process(settings):
                expected = {"at_most_once": ("unknown", 1), "at_least_once": ("accepted", 2)}
                assert await both.ends() == expected
                os.kill(frozen.pid, signal.SIGCONT)
                await until(lambda: answers(worker_log, "lost") == 2)
                assert await both.ends() == expected
