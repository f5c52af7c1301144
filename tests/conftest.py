"""Fixtures: a real dev server, the simulator as a process, workers on queues of their own."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from temporalio.client import Client
from temporalio.runtime import Runtime

import worker as worker_module
from cgb.client import CGBClient
from contract.converter import contract_plugin
from contract.request import SendWhatsAppRequest
from registration import register_search_attributes
from settings import WorkerSettings
from simulator.process import Simulator, simulator
from starters import client as sends
from telemetry import metrics
from telemetry.metrics import ProviderMetrics
from tools.dev_server import DevServer, NoServer, dev_server

# The first number loads the library's data; machines are slow or busy.
hypothesis_settings.register_profile("ours", deadline=None, derandomize=True)
hypothesis_settings.load_profile("ours")

WorkerOn = Callable[..., AbstractAsyncContextManager["Bench"]]


class Bench:
    """A worker on its own task queue, and short ways to send through it."""

    def __init__(self, client: Client, settings: WorkerSettings) -> None:
        self.client = client
        self.settings = settings
        self.task_queue = settings.task_queue

    async def start(self, key: str | None = None, **fields: object) -> sends.Started:
        request = SendWhatsAppRequest.model_validate({"to": new_phone(), **fields})
        return await sends.start_send(self.client, request, key=key, task_queue=self.task_queue)

    async def send(self, key: str | None = None, **fields: object) -> sends.State:
        started = await self.start(key, **fields)
        return await sends.get_state(self.client, started.id, run_id=started.run_id, wait=True)


def new_phone() -> str:
    """Return a number that no test has used."""
    return f"+49{uuid.uuid4().int % 10**10:010d}"


@pytest.fixture(scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DevServer]:
    folder = tmp_path_factory.mktemp("temporal")
    try:
        async with dev_server(folder / "server.log", database=folder / "temporal.db") as running:
            yield running
    except NoServer as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    return metrics.runtime(None)


@pytest.fixture(scope="session")
async def client(server: DevServer) -> Client:
    connected = await Client.connect(server.address, plugins=[contract_plugin()])
    assert await register_search_attributes(connected)
    return connected


@pytest.fixture(scope="session")
async def provider_process() -> AsyncIterator[Simulator]:
    async with simulator() as running:
        yield running


@pytest.fixture
async def provider(provider_process: Simulator) -> Simulator:
    await provider_process.reset()
    return provider_process


@pytest.fixture
def settings_for(provider: Simulator) -> Callable[..., WorkerSettings]:
    def build(**changes: str) -> WorkerSettings:
        environment = {
            "CGB_API_URL": provider.url,
            "CGB_API_KEY": provider.key,
            "CGB_TIMEOUT": "1000",
            "CGB_RETRY_ATTEMPTS": "1",
            "TEMPORAL_TASK_QUEUE": f"test-{uuid.uuid4()}",
        }
        return WorkerSettings.load(environment | changes)

    return build


@pytest.fixture
def worker_on(
    client: Client, runtime: Runtime, settings_for: Callable[..., WorkerSettings]
) -> WorkerOn:
    """Return a context manager that runs a worker in this process, with these variables."""

    @asynccontextmanager
    async def run(*, search_attributes: bool = True, **changes: str) -> AsyncIterator[Bench]:
        settings = settings_for(**changes)
        figures = ProviderMetrics(runtime.metric_meter)
        key = settings.api_key.get_secret_value()
        async with CGBClient(settings.api_url, key, observe=figures.provider_call) as provider:
            activities = worker_module.all_activities(
                settings, provider, figures, search_attributes=search_attributes
            )
            async with worker_module.build_worker(client, settings, activities):
                yield Bench(client, settings)

    return run


@pytest.fixture
async def bench(worker_on: WorkerOn) -> AsyncIterator[Bench]:
    async with worker_on() as running:
        yield running


async def until(condition: Callable[[], object], within_s: float = 30) -> None:
    """Return when the condition (or what it awaits) holds; fail when it does not in time."""
    async with asyncio.timeout(within_s):
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(0.02)


ROOT = Path(__file__).resolve().parent.parent
