"""Callbacks of the gateway's callers: the entry of a caller names its callback."""

import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client

from send_whatsapp.client.state import get_state
from send_whatsapp.gateway.tokens import Tokens
from tests.callbacks.conftest import FileOf
from tests.conftest import SendHarness, WorkerOn, new_phone, until
from tests.gateway.conftest import gateway, gateway_process
from tools.callback_receiver import Receiver
from tools.dev_server import DevServer

CALLERS = """
callers:
  shop: {token: the-token-of-shop, callback: orders}
  crm: {token: the-token-of-crm-}
"""
SHOP = {"Authorization": "Bearer the-token-of-shop"}
CRM = {"Authorization": "Bearer the-token-of-crm-"}


@pytest.fixture
async def harness(
    worker_on: WorkerOn, receiver: Receiver, file_of: FileOf
) -> AsyncIterator[SendHarness]:
    async with worker_on(**file_of(orders=receiver.url)) as opened:
        yield opened


@pytest.fixture
def callers_file(tmp_path: Path) -> Path:
    file = tmp_path / "callers.yaml"
    file.write_text(CALLERS)
    return file


async def test_a_caller_with_a_callback_hears_of_its_messages_and_batches(
    client: Client, harness: SendHarness, receiver: Receiver, callers_file: Path
) -> None:
    key, body = f"k-{uuid.uuid4()}", {"to": new_phone(), "message": "x"}
    tokens = Tokens({}, None, callers_file)
    async with gateway(client, harness.task_queue, tokens) as http:
        for headers in (CRM, SHOP):
            named = headers | {"Idempotency-Key": key + headers["Authorization"][-3:]}
            sent = await http.post("/v1/messages", json=body, headers=named)
            assert sent.status_code == 202
        await until(lambda: receiver.calls)
        batch = {"key": f"b-{uuid.uuid4()}", "rows": [body]}
        assert (await http.post("/v1/batches", json=batch, headers=SHOP)).status_code == 202
        await until(lambda: len(receiver.calls) == 2)
        upload = f"/v1/batches/u-{uuid.uuid4()}/rows"
        ndjson = SHOP | {"Content-Type": "application/x-ndjson"}
        answer = await http.post(upload, content=json.dumps(body), headers=ndjson)
        assert answer.status_code == 202
        await until(lambda: len(receiver.calls) == 3)
    told = [call.event for call in receiver.calls]
    assert [event["type"] for event in told] == ["message.accepted"] + ["batch.completed"] * 2
    assert told[0]["data"]["key"] == f"{key}hop"


async def test_a_callback_and_its_run_do_not_exist_over_http(
    client: Client, harness: SendHarness, receiver: Receiver, callers_file: Path
) -> None:
    tokens = Tokens({}, None, callers_file)
    async with gateway(client, harness.task_queue, tokens) as http:
        body = {"to": new_phone(), "message": "x"}
        await http.post("/v1/messages", json=body, headers=SHOP)
        await until(lambda: receiver.calls)
        for path in ("messages", "batches"):
            seen = await http.get(f"/v1/{path}/callback·{receiver.calls[0].id}", headers=SHOP)
            assert seen.status_code == 404


WEBHOOKS = """
webhooks:
  named: {caller: shop, key: id, request: {to: to, message: text}}
  plain: {key: id, request: {to: to, message: text}}
"""


async def test_the_callback_of_a_webhook_is_that_of_its_caller(
    server: DevServer,
    harness: SendHarness,
    receiver: Receiver,
    tmp_path: Path,
    callers_file: Path,
) -> None:
    file = tmp_path / "webhooks.yaml"
    file.write_text(WEBHOOKS)
    variables = {
        "TEMPORAL_ADDRESS": server.address,
        "TEMPORAL_TASK_QUEUE": harness.task_queue,
        "GATEWAY_CALLERS_FILE": str(callers_file),
        "GATEWAY_WEBHOOKS_FILE": str(file),
    }
    async with gateway_process(tmp_path, **variables) as running:
        for name, headers, callback in (
            ("named", CRM, "orders"),
            ("plain", CRM, None),
            ("plain", SHOP, "orders"),
        ):
            body = {"id": str(uuid.uuid4()), "to": new_phone(), "text": "x"}
            sent = await running.http.post(f"/v1/webhooks/{name}", json=body, headers=headers)
            assert sent.status_code == 202, sent.text
            state = await get_state(harness.client, sent.json()["id"], wait=True)
            assert state.origin.callback == callback
            if callback:
                await until(lambda key=body["id"]: _has_heard(receiver, key))  # type: ignore[misc]
    assert len(receiver.calls) == 2


def _has_heard(receiver: Receiver, key: str) -> bool:
    return any(call.event["data"]["key"] == key for call in receiver.calls)
