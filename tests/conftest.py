"""Fixtures: a real dev server, the simulator as a process, workers on their own task queues."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from temporalio.client import Client, WorkflowHandle
from temporalio.runtime import Runtime

import worker as worker_module
from activities.callbacks import CallbackActivities
from activities.key_monitor import KeyMonitor
from send_whatsapp.cgb.client import CGBClient
from send_whatsapp.client import sends
from send_whatsapp.client.state import Started, State, get_state
from send_whatsapp.contract.converter import contract_plugin
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.contract.result import SendError, SendWhatsAppResult
from send_whatsapp.contract.turns import (
    KEEPER_WORKFLOW,
    KeeperState,
    keeper_id,
    keeper_task_queue,
)
from send_whatsapp.settings import WorkerSettings, load_catalogue
from send_whatsapp.telemetry import metrics
from send_whatsapp.telemetry.metrics import ProviderMetrics
from send_whatsapp.temporal.search_attributes import register_search_attributes
from send_whatsapp.temporal.workers import running
from simulator.process import Simulator, simulator
from tools.dev_server import DevServer, dev_server
from tools.temporal_cli import NoServer
from worker_activities import all_activities
from worker_callbacks import build_callback_workers, declared_callbacks, receivers_for

# No deadline: the first phone number loads data, and machines may be busy.
hypothesis_settings.register_profile("ours", deadline=None, derandomize=True)
hypothesis_settings.load_profile("ours")

ROOT = Path(__file__).resolve().parent.parent

UI_URL = "http://ui.example.com"

WorkerProcess = subprocess.Popen[bytes]
ProcessOn = Callable[..., AbstractContextManager[WorkerProcess]]
WorkerOn = Callable[..., AbstractAsyncContextManager["SendHarness"]]


class SendHarness:
    """A worker on its own task queue, with methods that send through it."""

    def __init__(self, client: Client, settings: WorkerSettings) -> None:
        self.client = client
        self.settings = settings
        self.task_queue = settings.task_queue

    async def start(self, key: str | None = None, **fields: object) -> Started:
        request = SendWhatsAppRequest.model_validate({"to": new_phone(), **fields})
        return await sends.start_send(self.client, request, key=key, task_queue=self.task_queue)

    async def send(self, key: str | None = None, **fields: object) -> State:
        started = await self.start(key, **fields)
        return await get_state(self.client, started.id, run_id=started.run_id, wait=True)


async def start_keeper(
    harness: SendHarness, *, steps_per_run: int
) -> WorkflowHandle[object, object]:
    """Start the keeper of turns before the first send does, so that it soon continues as new."""
    return await harness.client.start_workflow(
        KEEPER_WORKFLOW,
        KeeperState(steps_per_run=steps_per_run),
        id=keeper_id(harness.task_queue),
        task_queue=keeper_task_queue(harness.task_queue),
    )


async def cancel(client: Client, workflow_id: str) -> State:
    """Cancel the latest run of an id and return its state once it is closed."""
    state = await get_state(client, workflow_id)
    if state.outcome == "running":
        await sends.request_cancel(client, state)
    return await get_state(client, workflow_id, run_id=state.run_id, wait=True)


def succeeded(state: State) -> SendWhatsAppResult:
    """Return the result of a send that the provider accepted."""
    assert state.outcome == "accepted"
    assert state.result is not None
    return state.result


def send_error(state: State) -> SendError:
    """Return the error of a closed send that the provider did not accept."""
    assert state.result is not None
    assert state.result.error is not None
    return state.result.error


def error_type(state: State) -> str:
    """Return the type of the error of a closed send that the provider did not accept."""
    return send_error(state).type


def new_phone() -> str:
    """Return a phone number that no other test uses."""
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
            "CGB_RETRY_FOR": "0",
            "TEMPORAL_TASK_QUEUE": f"test-{uuid.uuid4()}",
        }
        return WorkerSettings.load(environment | changes)

    return build


@pytest.fixture
def worker_on(
    client: Client, runtime: Runtime, settings_for: Callable[..., WorkerSettings]
) -> WorkerOn:
    """Return a context manager that runs a worker in this process, with the given settings."""

    @asynccontextmanager
    async def run(*, search_attributes: bool = True, **changes: str) -> AsyncIterator[SendHarness]:
        settings = settings_for(**changes)
        meters = ProviderMetrics(runtime.metric_meter)
        key = settings.api_key.get_secret_value()
        async with (
            CGBClient(settings.api_url, key, observe=meters.provider_call) as provider,
            receivers_for(settings) as receivers,
        ):
            activities = all_activities(
                settings,
                provider,
                KeyMonitor(provider, settings.timeout_s),
                meters,
                load_catalogue(settings.templates_file),
                search_attributes=search_attributes,
            )
            callbacks = CallbackActivities(declared_callbacks(settings), receivers)
            async with running(
                worker_module.build_keeper(client, settings),
                worker_module.build_worker(client, settings, [*activities, callbacks.wants_event]),
                *build_callback_workers(client, settings, callbacks),
            ):
                yield SendHarness(client, settings)

    return run


@pytest.fixture
def worker_log(tmp_path: Path) -> Path:
    return tmp_path / "worker.log"


@pytest.fixture
def worker_process(server: DevServer, worker_log: Path) -> ProcessOn:
    """Return a context manager that runs `worker.py` with these settings.

    `address` and `api_url` lead it through relays; its log, JSON, goes to `worker_log`.
    """

    @contextmanager
    def run(
        settings: WorkerSettings, *, address: str = server.address, api_url: str | None = None
    ) -> Iterator[WorkerProcess]:
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("CGB_", "TEMPORAL_"))}
        environment = kept | {
            "TEMPORAL_ADDRESS": address,
            "CGB_API_URL": api_url or settings.api_url,
            "CGB_API_KEY": settings.api_key.get_secret_value(),
            "CGB_TIMEOUT": str(settings.timeout_ms),
            "CGB_RETRY_ATTEMPTS": str(settings.retry_attempts),
            "TEMPORAL_TASK_QUEUE": settings.task_queue,
            "CALLBACKS_FILE": settings.callbacks_file or "",
            "CALLBACKS_ALLOW_PRIVATE": settings.callbacks_allow_private,
            "LOG_FORMAT": "json",
        }
        with worker_log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "worker.py")], env=environment, stdout=log, stderr=log
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    return run


@pytest.fixture
async def harness(worker_on: WorkerOn) -> AsyncIterator[SendHarness]:
    async with worker_on() as running:
        yield running


def require_program(program: str) -> None:
    """Skip the test, or the module that calls this, if a program is missing; in CI, fail."""
    if shutil.which(program):
        return
    reason = f"{program} is missing: run `make system-packages` as root on Debian"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason, allow_module_level=True)


def wrong_clock(seconds: int) -> dict[str, str]:
    """Return the environment variables of a process whose clock is wrong by `seconds`."""
    require_program("faketime")
    command = ["faketime", "-f", f"{seconds:+d}s", "env", "-0"]
    shown = subprocess.run(command, env={}, capture_output=True, text=True, check=True)
    variables = dict(entry.split("=", 1) for entry in shown.stdout.split("\0") if entry)
    kept = {name: variables[name] for name in ("LD_PRELOAD", "FAKETIME")}
    return kept | {"FAKETIME_DONT_FAKE_MONOTONIC": "1"}


async def until(condition: Callable[[], object], within_s: float = 30) -> None:
    """Wait until a condition, which may be a coroutine, is true. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(0.02)


class CommandResult:
    """The exit code and the output of a command."""

    def __init__(self, code: int | None, out: bytes, err: bytes) -> None:
        self.code, self.out, self.err = code, out.decode(), err.decode()
        assert "Traceback" not in self.out + self.err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def run_command(
    *arguments: str,
    address: str,
    task_queue: str = "none",
    stdin: str | bytes | int | None = None,
    **variables: str,
) -> CommandResult:
    """Run `send-whatsapp` with these arguments and, as environment variables, these settings.

    `stdin` is what it reads from standard input, or a file descriptor.
    """
    text = stdin.encode() if isinstance(stdin, str) else stdin
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("CGB_", "TEMPORAL_"))}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(Path(sys.executable).with_name("send-whatsapp"))),
        *arguments,
        cwd=ROOT,
        env=kept
        | {
            "TEMPORAL_ADDRESS": address,
            "TEMPORAL_TASK_QUEUE": task_queue,
            "TEMPORAL_UI_URL": UI_URL,
        }
        | variables,
        stdin=asyncio.subprocess.PIPE if isinstance(text, bytes) else text,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(text if isinstance(text, bytes) else None)
    return CommandResult(process.returncode, out, err)
