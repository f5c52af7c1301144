"""Fixtures: `worker.py` as a process, the operator's commands, and a look at a pending send."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client
from temporalio.runtime import Runtime
from temporalio.worker import Worker

import worker as worker_module
from cgb.client import CGBClient
from settings import WorkerSettings
from starters import client as sends
from telemetry.metrics import ProviderMetrics
from tests.conftest import ROOT, Bench
from tools.dev_server import INSTALLED, DevServer
from workflows.send_whatsapp import SendWhatsApp

WorkerProcess = subprocess.Popen[bytes]
Operator = Callable[..., Awaitable[None]]
ProcessOn = Callable[..., AbstractContextManager[WorkerProcess]]


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
def operator(server: DevServer) -> Operator:
    """Return `temporal activity COMMAND` for the send of a run."""

    async def run(command: str, workflow_id: str, *flags: str) -> None:
        words = ["activity", command, "--activity-id", "send", "--workflow-id", workflow_id]
        words += ["--address", server.address, "--namespace", "default"]
        process = await asyncio.create_subprocess_exec(
            *(str(INSTALLED), *words, *flags),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()

    return run


def activities_on(provider: CGBClient, settings: WorkerSettings, runtime: Runtime) -> Sequence[Any]:
    """Build every activity on this client of the provider."""
    figures = ProviderMetrics(runtime.metric_meter)
    return worker_module.all_activities(settings, provider, figures, search_attributes=True)


@asynccontextmanager
async def activities_for(
    settings: WorkerSettings, runtime: Runtime
) -> AsyncIterator[Sequence[Any]]:
    """Build every activity on a client of the provider of its own."""
    async with CGBClient(settings.api_url, settings.api_key.get_secret_value()) as provider:
        yield activities_on(provider, settings, runtime)


def workflows_only(
    client: Client, settings: WorkerSettings, activities: Sequence[Any]
) -> AbstractAsyncContextManager[Worker]:
    """Run a worker that takes no activity from the queue, so that a send stays where it is."""
    return Worker(
        client,
        task_queue=settings.task_queue,
        workflows=[SendWhatsApp],
        activities=activities,
        no_remote_activities=True,
    )


async def pending_send(bench: Bench, started: sends.Started) -> PendingActivityInfo | None:
    handle = bench.client.get_workflow_handle(started.id, run_id=started.run_id)
    pending = (await handle.describe()).raw_description.pending_activities
    return next((activity for activity in pending if activity.activity_id == "send"), None)


async def waits_for_attempt(bench: Bench, started: sends.Started, number: int) -> bool:
    send = await pending_send(bench, started)
    return bool(send and send.attempt == number and send.HasField("last_failure"))
