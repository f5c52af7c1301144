"""When Temporal does not answer: 503 in time, and a message answered 503 is not sent later."""

import asyncio
import signal
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from temporalio.client import Client

from send_whatsapp.client import sends
from send_whatsapp.client.state import get_state
from send_whatsapp.contract import names
from send_whatsapp.contract.request import SendWhatsAppRequest
from simulator.process import Simulator
from tests.conftest import SendHarness, WorkerOn, error_type, new_phone, until
from tests.gateway.conftest import PROBLEM, gateway_process, post, proxy_to
from tools.dev_server import dev_server, free_port

FIELDS = {"to": "+1234567890", "message": "x"}


async def refused(http: httpx.AsyncClient, method: str, path: str, **headers: str) -> None:
    began = time.monotonic()
    answer = await http.request(method, path, json=FIELDS, headers=headers)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["content-type"] == PROBLEM
    assert time.monotonic() - began < 10


async def refused_everywhere(http: httpx.AsyncClient, key: str) -> None:
    await asyncio.gather(
        refused(http, "POST", "/v1/messages"),
        refused(http, "POST", "/v1/messages", **{"Idempotency-Key": key}),
        refused(http, "GET", f"/v1/messages/{key}"),
        refused(http, "DELETE", f"/v1/messages/{key}"),
        refused(http, "GET", "/readyz"),
    )


async def test_the_answer_is_503_if_nothing_listens_at_temporals_address(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    async with gateway_process(tmp_path, TEMPORAL_ADDRESS=address) as running:
        await refused_everywhere(running.http, "a")
        assert (await running.http.get("/healthz")).status_code == 200


async def test_a_frozen_temporal_starts_nothing_later(tmp_path: Path) -> None:
    async with (
        dev_server(tmp_path / "log", database=tmp_path / "db") as frozen,
        gateway_process(tmp_path, TEMPORAL_ADDRESS=frozen.address) as running,
    ):
        assert (await post(running.http)).status_code == 202
        assert frozen.process is not None
        frozen.process.send_signal(signal.SIGSTOP)
        try:
            await refused_everywhere(running.http, "a")
        finally:
            frozen.process.send_signal(signal.SIGCONT)
        # Temporal answers the next start only after it has read all earlier requests.
        await until(lambda: _is_ready(running.http))
        assert (await post(running.http)).status_code == 202
        client = await Client.connect(frozen.address)
        await until(lambda: _counts(client, 2))
        assert (await running.http.get("/v1/messages/a")).status_code == 404


async def test_starts_that_wait_for_a_frozen_temporal_are_never_sent(tmp_path: Path) -> None:
    async with (
        dev_server(tmp_path / "log", database=tmp_path / "db") as frozen,
        gateway_process(tmp_path, TEMPORAL_ADDRESS=frozen.address) as running,
    ):
        assert (await post(running.http)).status_code == 202
        assert frozen.process is not None
        frozen.process.send_signal(signal.SIGSTOP)
        try:
            refusals = [
                refused(running.http, "POST", "/v1/messages", **{"Idempotency-Key": f"many-{n}"})
                for n in range(80)
            ]
            await asyncio.gather(*refusals)
        finally:
            frozen.process.send_signal(signal.SIGCONT)
        await until(lambda: _is_ready(running.http))
        assert (await post(running.http)).status_code == 202
        client = await Client.connect(frozen.address)
        await until(lambda: _counts(client, 2))
        for number in range(80):
            found = await running.http.get(f"/v1/messages/many-{number}")
            assert found.status_code == 404


async def test_a_broken_connection_to_temporal_is_not_noticed_by_callers(
    harness: SendHarness, tmp_path: Path
) -> None:
    port = int(harness.client.service_client.config.target_host.rpartition(":")[2])
    async with proxy_to(port) as (proxy, address):
        variables = {"TEMPORAL_ADDRESS": address, "TEMPORAL_TASK_QUEUE": harness.task_queue}
        async with gateway_process(tmp_path, **variables) as running:
            for _ in range(3):
                answer = await post(running.http, headers={"Prefer": "wait=20"})
                assert (answer.status_code, answer.json()["status"]) == (200, "accepted")
                proxy.cut()


async def test_a_start_whose_answer_was_lost_is_cancelled_or_found_by_its_key(
    worker_on: WorkerOn, client: Client, provider: Simulator, tmp_path: Path
) -> None:
    queue, key, lost, found = f"q-{uuid.uuid4()}", f"k-{uuid.uuid4()}", new_phone(), new_phone()
    port = int(client.service_client.config.target_host.rpartition(":")[2])
    async with proxy_to(port) as (proxy, address):
        variables = {"TEMPORAL_ADDRESS": address, "TEMPORAL_TASK_QUEUE": queue}
        async with gateway_process(tmp_path, **variables) as running:
            assert (await running.http.get("/readyz")).status_code == 200
            proxy.answers.clear()
            answers = await asyncio.gather(
                post(running.http, to=lost),
                post(running.http, to=found, headers={"Idempotency-Key": key}),
            )
            assert [answer.status_code for answer in answers] == [503, 503]
            proxy.answers.set()
            await until(lambda: "cancelled a run" in running.log())
            again = await post(running.http, to=found, headers={"Idempotency-Key": key})
            assert (again.status_code, again.json()["id"]) == (202, key)
            async with worker_on(TEMPORAL_TASK_QUEUE=queue):
                await sends.get_result(client, key)
                runs = [run async for run in client.list_workflows(f"TaskQueue = '{queue}'")]
                ends = {run.id == key: await get_state(client, run.id, wait=True) for run in runs}
                assert {mine: end.outcome for mine, end in ends.items()} == {
                    True: "accepted",
                    False: "cancelled",
                }
    assert not await provider.inbox(lost)
    assert len(await provider.inbox(found)) == 1


async def test_a_run_that_temporal_accepts_too_late_does_not_send(
    harness: SendHarness, provider: Simulator
) -> None:
    request = SendWhatsAppRequest(to=new_phone(), message="x")
    ends = {}
    for seconds in (-1, 60):
        before = datetime.now(UTC) + timedelta(seconds=seconds)
        started = await sends.start_send(
            harness.client,
            request,
            task_queue=harness.task_queue,
            memo={names.START_BEFORE_MEMO: before.isoformat()},
        )
        ends[seconds] = await get_state(harness.client, started.id, wait=True)
    assert ends[60].outcome == "accepted"
    assert ends[-1].outcome == "failed"
    assert error_type(ends[-1]) == "Expired"
    assert len(await provider.inbox(request.to)) == 1


async def _is_ready(http: httpx.AsyncClient) -> bool:
    return (await http.get("/readyz")).status_code == 200


async def _counts(client: Client, count: int) -> bool:
    return (await client.count_workflows("WorkflowType = 'SendWhatsApp'")).count == count
