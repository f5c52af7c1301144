"""Reports of batches: complete or refused, in order, and small in memory."""

import asyncio
import json
import random
import socket
import tracemalloc
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from send_whatsapp.client import batches
from send_whatsapp.contract.batch import Counts, RowOutcome
from send_whatsapp.contract.names import BATCH_WORKFLOW, PART_WORKFLOW, batch_id, part_id
from send_whatsapp.contract.parts import BatchInput, PartRequest
from send_whatsapp.gateway import time_limits
from send_whatsapp.gateway.report import Report
from tests.conftest import until
from tests.gateway.conftest import PROBLEM, GatewayProcess, gateway, gateway_process, proxy_to
from tools.dev_server import DevServer

PARTS, PART_ROWS = 80, 250
ROWS = PARTS * PART_ROWS
ERROR = "The provider did not accept the message: correct it and send it again"


def outcome(row: int, *, removed: bool = False) -> RowOutcome:
    failed = row % 10 == 0
    return RowOutcome(
        row=row,
        key=f"big-batch/+4915{row:09d}",
        to=f"+4915{row:09d}",
        outcome="failed" if failed else "accepted",
        contact_id=None if failed else f"4915{row:09d}",
        error_type="ProviderRejected" if failed else None,
        error=ERROR if failed else None,
        finished_at="2026-11-25T09:00:00Z",
        removed=removed,
    )


@workflow.defn(name=PART_WORKFLOW)
class EndedPart:
    """A part that has ended at once."""

    @workflow.run
    async def run(self, request: PartRequest) -> list[RowOutcome]:
        number = workflow.info().workflow_id.rpartition("·")[2]
        first = int(number) * PART_ROWS + 1
        return [outcome(row) for row in range(first, first + PART_ROWS)]


@pytest.fixture(scope="module")
async def big_batch(client: Client) -> str:
    """Return the key of a batch whose rows have all ended."""
    key, queue = f"big-{uuid.uuid4()}", f"big-{uuid.uuid4()}"
    request = BatchInput(key=key, parts=[Counts(running=PART_ROWS)] * PARTS)
    await client.start_workflow(
        BATCH_WORKFLOW, request, id=batch_id(key), task_queue=f"nobody-{queue}"
    )
    runner = UnsandboxedWorkflowRunner()
    async with Worker(client, task_queue=queue, workflows=[EndedPart], workflow_runner=runner):
        parts = [
            client.execute_workflow(
                PART_WORKFLOW, PartRequest(), id=part_id(batch_id(key), 1, n), task_queue=queue
            )
            for n in range(PARTS)
        ]
        await asyncio.gather(*parts)
    return key


@pytest.fixture
async def running(server: DevServer, tmp_path: Path) -> AsyncIterator[GatewayProcess]:
    async with gateway_process(tmp_path, TEMPORAL_ADDRESS=server.address) as process:
        yield process


def resident_mib(process: GatewayProcess) -> float:
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


async def test_eight_large_reports_at_once_are_complete_and_need_little_memory(
    running: GatewayProcess, big_batch: str
) -> None:
    url = f"/v1/batches/{big_batch}/report"

    async def is_complete() -> None:
        # Read and checked piece by piece, as a client with little memory does.
        answer = await running.http.get(url, timeout=100)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        report = answer.json()
        assert report["key"] == big_batch
        assert [row["row"] for row in report["rows"]] == list(range(1, ROWS + 1))
        assert report["rows"][9] == batches.report_row(outcome(10))

    before = resident_mib(running)
    await asyncio.gather(*(is_complete() for _ in range(8)))
    assert resident_mib(running) - before < 50


async def test_a_report_that_nobody_waits_for_is_not_read_to_its_end(
    running: GatewayProcess, big_batch: str
) -> None:
    request = f"GET /v1/batches/{big_batch}/report HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    for _ in range(6):
        _, writer = await asyncio.open_connection("127.0.0.1", running.http.base_url.port)
        writer.write(request)
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.close()

    def abandoned() -> list[int]:
        lines = [json.loads(line) for line in running.log().splitlines()]
        reports = [line for line in lines if line.get("route", "").endswith("/report")]
        assert {line["status"] for line in reports} <= {499}
        return [line["ms"] for line in reports]

    await until(lambda: len(abandoned()) == 6)
    assert max(abandoned()) < 5000


async def test_a_report_that_cannot_be_read_to_its_end_is_a_503(
    server: DevServer, tmp_path: Path, big_batch: str
) -> None:
    async with (
        proxy_to(server.port) as (proxy, address),
        gateway_process(tmp_path, TEMPORAL_ADDRESS=address) as running,
    ):
        reading = asyncio.create_task(running.http.get(f"/v1/batches/{big_batch}/report"))
        await until(lambda: proxy.passed > 60_000)
        proxy.go_down()
        answer = await reading
        assert (answer.status_code, answer.headers["content-type"]) == (503, PROBLEM)


async def test_a_client_that_does_not_read_its_report_loses_its_connection(
    client: Client,
    big_batch: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(time_limits, "READ_ANSWER_S", 0.5)
    request = f"GET /v1/batches/{big_batch}/report HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    caplog.set_level("INFO", "gateway.access")
    async with gateway(client, "nobody") as http:
        with socket.socket() as lazy:
            lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            lazy.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(lazy, ("127.0.0.1", http.base_url.port))
            await loop.sock_sendall(lazy, request)
            # The access log has the request when the gateway has ended its work for it.
            await until(lambda: caplog.records)


@pytest.mark.parametrize("seed", range(5))
async def test_the_rows_are_in_the_order_of_the_file_whatever_the_parts_hold(seed: int) -> None:
    random_ = random.Random(seed)
    rows = [outcome(row) for row in range(1, 400)]
    rows += [outcome(row, removed=True) for row in range(1, 30)]
    expected = [batches.report_row(row) for row in rows]
    random_.shuffle(rows)
    report = Report()
    while rows:
        size = random_.randint(0, 60)
        report.add(rows[:size])
        rows = rows[size:]
    document = b"".join([piece async for piece in report.as_json('a "key"\\')])
    assert json.loads(document) == {"key": 'a "key"\\', "rows": expected}


async def test_an_empty_report_is_a_document() -> None:
    document = b"".join([piece async for piece in Report().as_json("k")])
    assert json.loads(document) == {"key": "k", "rows": []}


async def test_a_report_is_compressed_until_it_is_sent() -> None:
    tracemalloc.start()
    try:
        report = Report()
        for part in range(PARTS):
            first = part * PART_ROWS + 1
            report.add([outcome(row) for row in range(first, first + PART_ROWS)])
        assert tracemalloc.get_traced_memory()[0] < 2_000_000
        tracemalloc.reset_peak()
        async for piece in report.as_json("k"):
            assert len(piece) < 64 * 1024
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
