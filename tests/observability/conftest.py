"""A worker as a process of its own, with its metrics, its log and short ways to send through it."""

import asyncio
import json
import os
import re
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from temporalio.client import Client

from settings import WorkerSettings
from simulator.process import Simulator
from tests.conftest import ROOT, Bench, until
from tools.dev_server import DevServer, free_port

SAMPLE = re.compile(r"^([a-z_:]+)(?:\{(.*)\})? ([^ ]+)$", re.ASCII)
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Samples:
    """What one scrape of `/metrics` said."""

    def __init__(self, text: str) -> None:
        self.text = text
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        found = [SAMPLE.match(line) for line in lines]
        assert all(found)
        self.all = [(m[1], dict(LABEL.findall(m[2] or "")), float(m[3])) for m in found if m]

    def since(self, before: "Samples") -> "Samples":
        """Return what has grown since another scrape, by how much."""
        old = {(name, *sorted(labels.items())): value for name, labels, value in before.all}
        grown = Samples("")
        grown.text = self.text
        for name, labels, value in self.all:
            more = value - old.get((name, *sorted(labels.items())), 0)
            grown.all += [(name, labels, more)] if more else []
        return grown

    def sum(self, name: str, **labels: str) -> float:
        """Return the sum of all series of a name with these labels."""
        return sum(v for n, given, v in self.all if n == name and labels.items() <= given.items())

    def by(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Return the series of a name by the values of these labels."""
        found: dict[tuple[str, ...], float] = {}
        for n, given, value in self.all:
            if n == name:
                key = tuple(given[label] for label in labels)
                found[key] = found.get(key, 0) + value
        return found


class WorkerProcess(Bench):
    """A worker process, and short ways to send through it."""

    def __init__(self, client: Client, settings: WorkerSettings, log: Path) -> None:
        super().__init__(client, settings)
        self.log = log
        self.metrics_bind = settings.metrics_bind or ""

    async def metrics(self) -> Samples:
        async with httpx.AsyncClient(trust_env=False) as http:
            return Samples((await http.get(f"http://{self.metrics_bind}/metrics")).text)

    async def serves(self) -> bool:
        try:
            return "temporal_num_pollers" in (await self.metrics()).text
        except httpx.HTTPError:
            return False

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


WorkerProcessOf = Callable[..., AbstractAsyncContextManager[WorkerProcess]]


def environment(server: DevServer, **variables: str) -> dict[str, str]:
    """Return this process' environment with these settings and no others of ours."""
    ours = ("CGB_", "TEMPORAL_", "OTEL_", "METRICS_", "LOG_")
    kept = {n: v for n, v in os.environ.items() if not n.startswith(ours)}
    return kept | {"TEMPORAL_ADDRESS": server.address} | variables


@pytest.fixture(scope="session")
def worker_process(
    server: DevServer,
    client: Client,
    provider_process: Simulator,
    tmp_path_factory: pytest.TempPathFactory,
) -> WorkerProcessOf:
    """Return a context manager that runs `worker.py` with these variables until it serves."""

    @asynccontextmanager
    async def run(**changes: str) -> AsyncIterator[WorkerProcess]:
        variables: Mapping[str, str] = {
            "CGB_API_URL": provider_process.url,
            "CGB_API_KEY": provider_process.key,
            "CGB_TIMEOUT": "1000",
            "CGB_RETRY_ATTEMPTS": "2",
            "TEMPORAL_TASK_QUEUE": f"test-{uuid.uuid4()}",
            "METRICS_BIND": f"127.0.0.1:{free_port()}",
            "LOG_FORMAT": "json",
            **changes,
        }
        log = tmp_path_factory.mktemp("worker") / "worker.log"
        with log.open("wb") as sink:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(ROOT / "worker.py"),
                env=environment(server, **variables),
                stderr=sink,
            )
        try:
            running = WorkerProcess(client, WorkerSettings.load(variables), log)
            await until(running.serves, within_s=90)
            yield running
        finally:
            process.terminate()
            assert await process.wait() == 0

    return run


@pytest.fixture(scope="session")
async def worker(worker_process: WorkerProcessOf) -> AsyncIterator[WorkerProcess]:
    async with worker_process() as running:
        yield running
