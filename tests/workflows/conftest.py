"""Fixtures: `worker.py` as a process, operator commands, and pending sends."""

import asyncio
import json
import re
import uuid
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    suppress,
)
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client, WorkflowHandle
from temporalio.runtime import Runtime
from temporalio.worker import Worker

from activities.key_monitor import KeyMonitor
from send_whatsapp.cgb.client import CGBClient
from send_whatsapp.client import batches
from send_whatsapp.client.state import Started, get_state
from send_whatsapp.contract.batch import BatchState, Counts, Row, RowOutcome
from send_whatsapp.contract.names import batch_id, part_id
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.settings import WorkerSettings, load_catalogue
from send_whatsapp.telemetry.metrics import ProviderMetrics
from simulator.process import Simulator
from tests.clocks import Clocks, clocks_in
from tests.conftest import SendHarness, new_phone, until
from tools.dev_server import DevServer
from tools.temporal_cli import INSTALLED
from worker_activities import all_activities
from workflows.send_whatsapp import SendWhatsApp

Operator = Callable[..., Awaitable[None]]


@pytest.fixture
def clocks(tmp_path: Path) -> Iterator[Clocks]:
    with clocks_in(tmp_path / "zones") as clocks:
        yield clocks


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
    provider_metrics = ProviderMetrics(runtime.metric_meter)
    return all_activities(
        settings,
        provider,
        KeyMonitor(provider, settings.timeout_s),
        provider_metrics,
        load_catalogue(settings.templates_file),
        search_attributes=True,
    )


@asynccontextmanager
async def activities_for(
    settings: WorkerSettings, runtime: Runtime
) -> AsyncIterator[Sequence[Any]]:
    """Build every activity on a new client of the provider."""
    async with CGBClient(settings.api_url, settings.api_key.get_secret_value()) as provider:
        yield activities_on(provider, settings, runtime)


def workflows_only(
    client: Client, settings: WorkerSettings, activities: Sequence[Any]
) -> AbstractAsyncContextManager[Worker]:
    """Run a worker that takes no activity from the queue, so that a send stays scheduled."""
    return Worker(
        client,
        task_queue=settings.task_queue,
        workflows=[SendWhatsApp],
        activities=activities,
        no_remote_activities=True,
    )


async def pending_send(harness: SendHarness, started: Started) -> PendingActivityInfo | None:
    handle = harness.client.get_workflow_handle(started.id, run_id=started.run_id)
    pending = (await handle.describe()).raw_description.pending_activities
    return next((activity for activity in pending if activity.activity_id == "send"), None)


async def waits_for_attempt(harness: SendHarness, started: Started, number: int) -> bool:
    send = await pending_send(harness, started)
    return bool(send and send.attempt == number and send.HasField("last_failure"))


BUSY_S = 80
"""Time a worker may need to start and look up both contacts on a busy machine."""

POST = b"/send/text"
"""Part of the request of a text, at which a relay stops."""


class Both:
    """Two sends of the same text to two people, one with each delivery guarantee."""

    def __init__(self, client: Client, provider: Simulator, settings: WorkerSettings) -> None:
        self.harness = SendHarness(client, settings)
        self.provider = provider
        self.phones = {delivery: new_phone() for delivery in ("at_least_once", "at_most_once")}
        self.runs: dict[str, Started] = {}

    async def start(self) -> None:
        for delivery, phone in self.phones.items():
            self.runs[delivery] = await self.harness.start(to=phone, message="x", delivery=delivery)

    async def all_arrived(self) -> bool:
        return len(await self.provider.inbox()) == 2

    async def ends(self) -> dict[str, tuple[str, int]]:
        """Wait for the runs; return the outcome and the messages that arrived, by delivery."""
        found = {}
        for delivery, run in self.runs.items():
            state = await get_state(self.harness.client, run.id, wait=True)
            messages = await self.provider.inbox(self.phones[delivery])
            found[delivery] = (str(state.outcome), len(messages))
        return found


def answers(log: Path, status: str = "200") -> int:
    """Return how many sends ended with this status, according to the workers' log."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return sum(
        line["message"] == "provider call"
        and line["route"].endswith("/send/text")
        and line["status"] == status
        for line in lines
    )


def completions(sent: bytearray) -> set[bytes]:
    """Return the completions of sends among what a worker sent to the server, which is gzipped."""
    found = set()
    for place in re.finditer(rb"\x1f\x8b\x08", sent):
        with suppress(zlib.error):
            message = zlib.decompressobj(wbits=31).decompress(sent[place.start() :])
            if b"message_id" in message:
                found.add(message)
    return found


class Batch:
    """A batch of these rows under a new key."""

    def __init__(self, harness: SendHarness, rows: list[Row]) -> None:
        self.harness, self.rows, self.key = harness, rows, f"b-{uuid.uuid4()}"
        self.handle = harness.client.get_workflow_handle(batch_id(self.key))

    async def start(self, **limits: int | datetime) -> BatchState:
        return await batches.start(
            self.harness.client,
            self.key,
            self.rows,
            [],
            limits=batches.BatchLimits.model_validate(limits),
            task_queue=self.harness.task_queue,
        )

    @property
    def part(self) -> WorkflowHandle[Any, Any]:
        """The first part."""
        return self.harness.client.get_workflow_handle(part_id(batch_id(self.key), 1, 0))

    async def status(self) -> batches.BatchStatus:
        return await batches.get_status(self.harness.client, self.key)

    async def report(self, within_s: float = 60) -> list[RowOutcome]:
        """Wait until the batch has ended; return its report, which agrees with its counts."""

        async def ended() -> bool:
            return not (await self.status()).running

        await until(ended, within_s)
        report = await batches.outcomes(self.harness.client, self.key)
        status = await self.status()
        assert (status.key, status.counts) == (self.key, Counts.of(report))
        assert [row.row for row in report] == [row.row for row in self.rows]
        for row in report:
            assert row.finished_at
            assert row.outcome == "accepted" or (row.error_type and row.error)
        return report

    async def outcomes(self, within_s: float = 60) -> list[str]:
        """Wait until the batch has ended; return the outcome of each row."""
        return [row.outcome for row in await self.report(within_s)]


def rows(count: int, **fields: Any) -> list[Row]:
    """Return texts to new people, sent at most once unless `fields` say otherwise."""
    return [
        Row(
            row=number,
            key=f"k{number}",
            request=SendWhatsAppRequest.model_validate(
                {"to": new_phone(), "message": "x", "delivery": "at_most_once", **fields}
            ),
        )
        for number in range(2, count + 2)
    ]


async def until_arrived(provider: Simulator, count: int) -> None:
    """Wait for so many messages."""

    async def have_arrived() -> bool:
        return len(await provider.inbox()) >= count

    await until(have_arrived)


async def until_sent(provider: Simulator, count: int) -> None:
    """Wait for so many requests to send, answered or not."""

    async def were_sent() -> bool:
        return len(await provider.requests("send_text")) >= count

    await until(were_sent)
