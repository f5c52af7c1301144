"""Traces: a send is one trace, from its starter through the worker to the provider."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import ROOT, new_phone, until
from tests.telemetry.conftest import (
    Collector,
    WorkerProcess,
    WorkerProcessOf,
    collector,
    environment,
)
from tools.dev_server import DevServer, free_port

SEND_WHATSAPP = str(Path(sys.executable).with_name("send-whatsapp"))
SEND_TEXT = "POST /contacts/{contact_id}/send/text"
RUN = "RunWorkflow:SendWhatsApp"
WORKER = "send-whatsapp-worker"

IN_PYTHON = """
import asyncio, sys
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.temporal.connection import connect
from send_whatsapp.client.sends import send

async def main():
    request = SendWhatsAppRequest(to=sys.argv[1], message=sys.argv[2])
    await send(await connect(), request, task_queue=sys.argv[3])

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def traces() -> Iterator[Collector]:
    with collector() as running:
        yield running


@pytest.fixture(scope="module")
async def traced(
    worker_process: WorkerProcessOf, traces: Collector
) -> AsyncIterator[WorkerProcess]:
    """Run a worker that sends its spans five times a second."""
    async with worker_process(
        OTEL_EXPORTER_OTLP_ENDPOINT=traces.url, OTEL_BSP_SCHEDULE_DELAY="200"
    ) as running:
        yield running


async def call(server: DevServer, worker: WorkerProcess, *command: str, endpoint: str) -> str:
    """Run a command; return its standard error."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env=environment(
            server, TEMPORAL_TASK_QUEUE=worker.task_queue, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint
        ),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return err.decode()


@pytest.mark.parametrize("starter", ["send-whatsapp-cli", "send-whatsapp-client"])
async def test_a_send_is_one_trace_from_its_starter_to_the_provider(
    server: DevServer, traced: WorkerProcess, provider: Simulator, traces: Collector, starter: str
) -> None:
    to, text = new_phone(), "The canary sings at midnight"
    await provider.faults(Fault(route="send_text", status=503, times=1))
    command = (
        [SEND_WHATSAPP, "send", "--to", to, "--message", text]
        if starter == "send-whatsapp-cli"
        else [sys.executable, "-c", IN_PYTHON, to, text, traced.task_queue]
    )
    await call(server, traced, *command, endpoint=traces.url)
    [start] = [span.trace_id for service, span in traces.spans() if service == starter]
    await until(lambda: RUN in {span.name for span in traces.of(start)})
    spans = traces.of(start)
    assert traces.path(start, SEND_TEXT) == [
        (WORKER, SEND_TEXT),
        (WORKER, "RunActivity:send_text"),
        (WORKER, "StartActivity:send_text"),
        (WORKER, RUN),
        (starter, "StartWorkflow:SendWhatsApp"),
    ]
    calls = [span for span in spans if span.name == SEND_TEXT]
    attributes = [{a.key: a.value for a in call.attributes} for call in calls]
    assert [a["http.response.status_code"].int_value for a in attributes] == [503, 200]
    assert [call.status.code for call in calls] == [Status.STATUS_CODE_ERROR, 0]
    assert all(call.end_time_unix_nano > call.start_time_unix_nano for call in calls)
    assert len({span.span_id for span in spans}) == len(spans)
    everything = b"".join(traces.bodies)
    for private in (to[1:], to[-8:], text, provider.key):
        assert private.encode() not in everything


async def test_a_send_over_http_belongs_to_the_trace_of_its_caller(
    server: DevServer, traced: WorkerProcess, provider: Simulator, traces: Collector
) -> None:
    trace, caller = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    bind = f"127.0.0.1:{free_port()}"
    process = await asyncio.create_subprocess_exec(
        SEND_WHATSAPP,
        "gateway",
        env=environment(
            server,
            TEMPORAL_TASK_QUEUE=traced.task_queue,
            OTEL_EXPORTER_OTLP_ENDPOINT=traces.url,
            GATEWAY_BIND=bind,
        ),
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with httpx.AsyncClient(base_url=f"http://{bind}", trust_env=False, timeout=60) as gateway:

        async def ready() -> bool:
            try:
                return (await gateway.get("/readyz")).is_success
            except httpx.HTTPError:
                return False

        try:
            await until(ready, within_s=90)
            response = await gateway.post(
                "/v1/messages",
                json={"to": new_phone(), "message": "x"},
                headers={
                    "prefer": "wait=30",
                    "traceparent": f"00-{trace}-{caller}-01",
                    "baggage": "user=canary",
                },
            )
        finally:
            process.terminate()
            assert await process.wait() == 0
    assert response.json()["status"] == "accepted"
    trace_id = bytes.fromhex(trace)
    await until(lambda: RUN in {span.name for span in traces.of(trace_id)})
    assert traces.path(trace_id, SEND_TEXT, caller=bytes.fromhex(caller))[-3:] == [
        (WORKER, RUN),
        ("send-whatsapp-gateway", "StartWorkflow:SendWhatsApp"),
        ("send-whatsapp-gateway", "POST /v1/messages"),
    ]
    assert not any("/readyz" in span.name for _, span in traces.spans())
    handle = traced.client.get_workflow_handle(response.json()["id"])
    assert "canary" not in (await handle.fetch_history()).to_json()


async def test_a_replay_records_no_span_twice(
    traced: WorkerProcess, provider: Simulator, traces: Collector
) -> None:
    # Started without a trace, as in the Web UI, so the trace starts with the run.
    state = await traced.send(template="nothing", message="x")

    def runs() -> list[bytes]:
        return [s.trace_id for _, s in traces.spans() if s.name == RUN and is_of_run(s)]

    def is_of_run(span: Span) -> bool:
        return state.run_id in str(span.attributes)

    await until(runs)
    [trace] = runs()
    names = [span.name for span in traces.of(trace)]
    assert {"RunActivity:find_flow", "RunActivity:send_text", "POST /contacts"} <= set(names)
    handle = traced.client.get_workflow_handle(state.id)
    assert "accepted" in str(await handle.query("__temporal_workflow_metadata"))
    query = "HandleQuery:__temporal_workflow_metadata"
    await until(lambda: any(s.name == query and is_of_run(s) for _, s in traces.spans()))
    assert runs() == [trace]
    assert [span.name for span in traces.of(trace)] == names


async def test_a_send_does_not_wait_for_an_unreachable_collector(
    server: DevServer, worker: WorkerProcess, provider: Simulator
) -> None:
    command = [SEND_WHATSAPP, "send", "--to", new_phone(), "--message", "x"]
    err = await call(server, worker, *command, endpoint=f"http://127.0.0.1:{free_port()}")
    assert "Traceback" not in err


async def test_without_an_endpoint_there_are_no_traces(
    server: DevServer, worker: WorkerProcess, provider: Simulator
) -> None:
    command = [SEND_WHATSAPP, "send", "--to", new_phone(), "--message", "x", "--key", "untraced"]
    await call(server, worker, *command, endpoint="")
    history = await worker.client.get_workflow_handle("untraced").fetch_history()
    assert "_tracer-data" not in history.to_json()
