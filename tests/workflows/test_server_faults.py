"""The Temporal server killed, and connections to it cut, while the provider answers a send."""

import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from temporalio.client import Client

from send_whatsapp.contract.converter import contract_plugin
from send_whatsapp.settings import WorkerSettings
from simulator.process import Simulator
from tests.conftest import ProcessOn, until
from tests.workflows.conftest import BUSY_S, POST, Both, answers, completions
from tools.dev_server import DevServer, dev_server
from tools.relay import Stop, relay

# Workers start several times in a test, which takes long on a busy machine.
pytestmark = pytest.mark.timeout(300)

ACCEPTED = {"at_least_once": ("accepted", 1), "at_most_once": ("accepted", 1)}


@pytest.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[DevServer]:
    """Run a server that a test may kill; what it knows is in a file."""
    async with dev_server(tmp_path / "server.log", database=tmp_path / "temporal.db") as running:
        yield running


async def test_a_send_in_flight_survives_a_kill_of_the_server(
    own_server: DevServer,
    provider: Simulator,
    settings_for: Callable[..., WorkerSettings],
    worker_process: ProcessOn,
    worker_log: Path,
) -> None:
    settings = settings_for(CGB_TIMEOUT="30000")
    client = await Client.connect(own_server.address, plugins=[contract_plugin()])
    both = Both(client, provider, settings)
    async with relay(provider.url, Stop(POST, None)) as http:
        url = provider.url.replace(str(http.target_port), str(http.port))
        with worker_process(settings, address=own_server.address, api_url=url):
            await both.start()
            await until(lambda: http.stopped == 2, BUSY_S)
            own_server.stop(signal.SIGKILL)
            http.resume()
            await until(lambda: answers(worker_log) == 2)
            # Soon enough: the SDK tries to report a completion for about 10 s.
            await own_server.start()
            assert await both.ends() == ACCEPTED


async def test_a_completion_is_reported_again_after_the_connection_was_cut(
    client: Client,
    server: DevServer,
    provider: Simulator,
    settings_for: Callable[..., WorkerSettings],
    worker_process: ProcessOn,
) -> None:
    settings = settings_for(CGB_TIMEOUT="30000")
    both = Both(client, provider, settings)
    async with relay(provider.url, Stop(POST, None)) as http, relay(server.address) as grpc:
        url = provider.url.replace(str(http.target_port), str(http.port))
        with worker_process(settings, address=grpc.address, api_url=url):
            await both.start()
            await until(lambda: http.stopped == 2, BUSY_S)
            grpc.hold()
            http.resume()
            await until(lambda: len(completions(grpc.swallowed)) == 2)
            grpc.cut()
            assert await both.ends() == ACCEPTED
