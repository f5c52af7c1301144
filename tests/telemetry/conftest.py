"""Fixtures: a worker process with its metrics and its log, and a collector of traces."""

import asyncio
import json
import os
import re
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from temporalio.client import Client

from send_whatsapp.settings import WorkerSettings
from simulator.process import Simulator
from tests.conftest import ROOT, SendHarness, until
from tools.dev_server import DevServer, free_port

SAMPLE = re.compile(r"^([a-z_:]+)(?:\{(.*)\})? ([^ ]+)$", re.ASCII)
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Samples:
    """The samples of one scrape of `/metrics`."""

    def __init__(self, text: str) -> None:
        self.text = text
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        found = [SAMPLE.match(line) for line in lines]
        assert all(found)
        self.all = [(m[1], dict(LABEL.findall(m[2] or "")), float(m[3])) for m in found if m]

    def since(self, before: "Samples") -> "Samples":
        """Return the samples that grew since an earlier scrape, with their increase."""
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
        """Return the sums of a metric by the values of these labels."""
        found: dict[tuple[str, ...], float] = {}
        for n, given, value in self.all:
            if n == name:
                key = tuple(given[label] for label in labels)
                found[key] = found.get(key, 0) + value
        return found


class WorkerProcess(SendHarness):
    """A harness whose worker is a process with a metrics endpoint and a log file."""

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
    """Return the environment of this process, with these settings and no others of ours."""
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
    """Return a context manager that runs `worker.py` with the given variables."""

    @asynccontextmanager
    async def run(**changes: str) -> AsyncIterator[WorkerProcess]:
        variables: Mapping[str, str] = {
            "CGB_API_URL": provider_process.url,
            "CGB_API_KEY": provider_process.key,
            "CGB_TIMEOUT": "1000",
            "CGB_RETRY_ATTEMPTS": "2",
            "CGB_RETRY_FOR": "0",
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


@dataclass
class Collector:
    """A collector of traces, with the bodies of all requests so far."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)

    def spans(self) -> list[tuple[str, Span]]:
        """Return each span with the service that sent it."""
        found = []
        for body in list(self.bodies):
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                named = {a.key: a.value.string_value for a in resource.resource.attributes}
                for scope in resource.scope_spans:
                    found += [(named["service.name"], span) for span in scope.spans]
        return found

    def of(self, trace: bytes) -> list[Span]:
        """Return the spans of a trace."""
        return [span for _, span in self.spans() if span.trace_id == trace]

    def path(self, trace: bytes, name: str, caller: bytes = b"") -> list[tuple[str, str]]:
        """Return service and name of a span of a trace, then of each of its ancestors.

        The last one is the root, or a child of `caller`, whose span is not sent to us.
        """
        spans = {s.span_id: (service, s) for service, s in self.spans() if s.trace_id == trace}
        above = next(span.span_id for _, span in spans.values() if span.name == name)
        found = []
        while above in spans:
            service, span = spans[above]
            found.append((service, span.name))
            above = span.parent_span_id
        assert above == caller, "a span's parent is missing"
        return found


@contextmanager
def collector() -> Iterator[Collector]:
    """Run a collector of traces until the block ends."""
    running = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            running.bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
