"""Traces: one from whatever starts a send, through workflow and activities, to the provider."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import ROOT, new_phone
from tests.observability.collector import Collector, collector
from tests.observability.conftest import WorkerProcess, WorkerProcessOf, environment
from tools.dev_server import DevServer, free_port

SEND = str(Path(sys.executable).with_name("send-whatsapp"))
WORKER = "send-whatsapp-worker"

IN_PYTHON = """
import asyncio, sys
from contract.request import SendWhatsAppRequest
from starters.client import connect, send

async def main():
    request = SendWhatsAppRequest(to=sys.argv[1], message=sys.argv[2])
    await send(await connect(), request, task_queue=sys.argv[3])

asyncio.run(main())
"""


@pytest.fixture
def traces() -> Iterator[Collector]:
    with collector() as running:
        yield running


async def call(server: DevServer, worker: WorkerProcess, *words: str, endpoint: str) -> str:
    """Run a command of a starter; return its standard error."""
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=ROOT,
        env=environment(
            server,
            TEMPORAL_TASK_QUEUE=worker.task_queue,
            OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
        ),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return err.decode()


@pytest.mark.parametrize("starter", ["send-whatsapp-cli", "send-whatsapp-client"])
async def test_a_send_is_one_trace_from_its_starter_to_the_provider(
    server: DevServer,
    worker_process: WorkerProcessOf,
    provider: Simulator,
    traces: Collector,
    starter: str,
) -> None:
    to, text = new_phone(), "The canary sings at midnight"
    await provider.faults(Fault(route="send_text", status=503, times=1))
    async with worker_process(OTEL_EXPORTER_OTLP_ENDPOINT=traces.url) as worker:
        command = (
            [SEND, "send", "--to", to, "--message", text]
            if starter.endswith("cli")
            else [sys.executable, "-c", IN_PYTHON, to, text, worker.task_queue]
        )
        await call(server, worker, *command, endpoint=traces.url)
    spans = traces.spans()
    start = next(span for _, span in spans if span.name == "StartWorkflow:SendWhatsApp")
    in_trace = [(name, span) for name, span in spans if span.trace_id == start.trace_id]
    # The worker's own question at its start belongs to no send.
    assert {s.name for _, s in spans if s.trace_id != start.trace_id} == {"GET /accounts/me"}
    assert traces.path("POST /contacts/{contact_id}/send/text") == [
        (WORKER, "POST /contacts/{contact_id}/send/text"),
        (WORKER, "RunActivity:send_text"),
        (WORKER, "StartActivity:send_text"),
        (WORKER, "RunWorkflow:SendWhatsApp"),
        (starter, "StartWorkflow:SendWhatsApp"),
    ]
    calls = [s for _, s in in_trace if s.name.endswith("/send/text")]
    attributes = [{a.key: a.value for a in call.attributes} for call in calls]
    assert [a["http.response.status_code"].int_value for a in attributes] == [503, 200]
    assert [call.status.code for call in calls] == [Status.STATUS_CODE_ERROR, 0]
    assert all(call.end_time_unix_nano > call.start_time_unix_nano for call in calls)
    assert len({span.span_id for _, span in in_trace}) == len(in_trace)
    everything = b"".join(traces.bodies)
    for private in (to[1:], to[-8:], text, provider.key):
        assert private.encode() not in everything


async def test_a_replay_records_nothing_twice(
    worker_process: WorkerProcessOf, traces: Collector
) -> None:
    async with worker_process(OTEL_EXPORTER_OTLP_ENDPOINT=traces.url) as first:
        state = await first.send(template="nothing", message="x")
    before = len(traces.spans())
    async with worker_process(
        OTEL_EXPORTER_OTLP_ENDPOINT=traces.url, TEMPORAL_TASK_QUEUE=first.task_queue
    ) as second:
        handle = second.client.get_workflow_handle(state.id)
        told = await handle.query("__temporal_workflow_metadata")
    assert "accepted" in str(told)
    added = traces.spans()[before:]
    assert {span.name for _, span in added} <= {
        "GET /accounts/me",
        "HandleQuery:__temporal_workflow_metadata",
    }


async def test_a_collector_that_is_away_holds_up_no_send(
    server: DevServer, worker_process: WorkerProcessOf
) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    async with worker_process(OTEL_EXPORTER_OTLP_ENDPOINT=away) as worker:
        async with asyncio.timeout(60):
            command = [SEND, "send", "--to", new_phone(), "--message", "x"]
            err = await call(server, worker, *command, endpoint=away)
    assert "Traceback" not in err


async def test_without_an_endpoint_there_are_no_traces(
    server: DevServer, worker_process: WorkerProcessOf, traces: Collector
) -> None:
    async with worker_process() as worker:
        command = [SEND, "send", "--to", new_phone(), "--message", "x"]
        await call(server, worker, *command, endpoint="")
    assert not traces.bodies
