"""Callers over HTTP: each sees and commands its own runs; everything else does not exist for it."""

import hashlib
import hmac
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from temporalio.client import Client

from send_whatsapp.client import batches, resending, sends
from send_whatsapp.client.origin import CALLER_MEMO, Origin
from send_whatsapp.client.state import get_state
from send_whatsapp.contract import names
from send_whatsapp.contract.batch import Row
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.gateway.tokens import Tokens
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import SendHarness, cancel, new_phone, until
from tests.gateway.conftest import PROBLEM, gateway, gateway_process
from tools.dev_server import DevServer

CALLERS = """
callers:
  shop: {token: the-token-of-shop}
  support: {token: the-token-of-support, sees: all}
"""
FAR = "2099-01-01T00:00:00Z"
"""Runs that start then stay open, and no worker is needed."""


def headers_of(caller: str, key: str | None = None) -> dict[str, str]:
    token = {"Authorization": f"Bearer the-token-of-{caller}"}
    return token | ({"Idempotency-Key": key} if key else {})


@pytest.fixture
def callers_file(tmp_path: Path) -> Path:
    file = tmp_path / "callers.yaml"
    file.write_text(CALLERS)
    return file


@pytest.fixture
async def http(
    client: Client, harness: SendHarness, callers_file: Path
) -> AsyncIterator[httpx.AsyncClient]:
    tokens = Tokens({"crm": "the-token-of-crm"}, None, callers_file)
    async with gateway(client, harness.task_queue, tokens) as opened:
        yield opened


async def start_message(http: httpx.AsyncClient, caller: str, key: str, **fields: Any) -> None:
    body = {"to": new_phone(), "message": "x", "sendAt": FAR} | fields
    started = await http.post("/v1/messages", json=body, headers=headers_of(caller, key))
    assert started.status_code == 202, started.text


async def start_batch(http: httpx.AsyncClient, caller: str, key: str) -> None:
    rows = [{"to": new_phone(), "message": "x"}]
    body = {"key": key, "rows": rows, "sendAt": FAR}
    started = await http.post("/v1/batches", json=body, headers=headers_of(caller))
    assert started.status_code == 202, started.text


OWNERS = ("shop", "crm", "the command line", "another workflow type", "a part", "nothing")
MESSAGE_ROUTES = [("GET", "/v1/messages/{}"), ("HEAD", "/v1/messages/{}")]
MESSAGE_ROUTES += [("DELETE", "/v1/messages/{}")]
BATCH_ROUTES = [("GET", "/v1/batches/{}"), ("GET", "/v1/batches/{}/report")]
BATCH_ROUTES += [("POST", f"/v1/batches/{{}}/{name}") for name in ("pause", "resume", "cancel")]


async def ids_of(http: httpx.AsyncClient, harness: SendHarness, owner: str) -> tuple[str, str]:
    """Return the id of a message and the key of a batch that this owner has started."""
    client, queue, id_ = harness.client, harness.task_queue, f"k-{uuid.uuid4()}"
    match owner:
        case "shop" | "crm":
            await start_message(http, owner, id_)
            await start_batch(http, owner, id_)
        case "the command line":
            request = SendWhatsAppRequest.model_validate(
                {"to": new_phone(), "message": "x", "sendAt": FAR}
            )
            await sends.start_send(client, request, key=id_, task_queue=queue)
            rows = [Row(row=1, key=id_, request=request.model_copy(update={"send_at": None}))]
            limits = batches.BatchLimits.model_validate({"send_at": FAR})
            await batches.start(client, id_, rows, [], limits=limits, task_queue=queue)
        case "another workflow type":
            for other in (id_, names.batch_id(id_)):
                memo = {CALLER_MEMO: "shop"}
                await client.start_workflow("Other", id=other, task_queue="nobody", memo=memo)
        case "a part":
            await start_batch(http, "shop", id_)
            part = names.part_id(names.batch_id(id_), 1, 0)
            return part, part.removeprefix("batch-")
    return id_, id_


def said(answer: httpx.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    """Return everything that an answer says, except when."""
    headers = [(name, value) for name, value in answer.headers.multi_items() if name != "date"]
    return answer.status_code, answer.content, headers


@pytest.mark.parametrize("owner", OWNERS)
async def test_a_caller_gets_the_same_answer_for_what_is_not_its_own_and_for_nothing(
    http: httpx.AsyncClient, harness: SendHarness, owner: str
) -> None:
    message, batch = await ids_of(http, harness, owner)
    for caller in ("crm", "shop", "support"):
        sees = owner == caller or (caller == "support" and owner in OWNERS[:3])
        for routes, id_ in ((MESSAGE_ROUTES, message), (BATCH_ROUTES, batch)):
            for method, path in routes:
                if sees and method != "GET" and method != "HEAD" and caller != "support":
                    continue  # Only the last caller ends what the others must see.
                found = await http.request(method, path.format(id_), headers=headers_of(caller))
                nothing = path.format(f"none-{uuid.uuid4()}")
                missing = await http.request(method, nothing, headers=headers_of(caller))
                assert missing.status_code == 404
                where = (caller, method, path)
                if sees:
                    assert found.status_code in (200, 202), (where, found.text)
                else:
                    assert said(found) == said(missing), where


async def test_a_caller_commands_its_own_runs_and_the_log_has_who_and_which(
    http: httpx.AsyncClient, harness: SendHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gateway.audit")
    message, batch = await ids_of(http, harness, "shop")
    run_id = (await get_state(harness.client, message)).run_id
    batch_run = (await batches.find(harness.client, batch)).run_id
    for name in ("pause", "resume", "cancel"):
        done = await http.post(f"/v1/batches/{batch}/{name}", headers=headers_of("shop"))
        assert done.status_code in (200, 202), done.text
    done = await http.delete(f"/v1/messages/{message}", headers=headers_of("shop"))
    assert (done.status_code, done.json()["status"]) == (200, "cancelled")
    again = {"to": new_phone(), "message": "x"}
    for expected in (202, 202):
        same = await http.post("/v1/messages", json=again, headers=headers_of("crm", "c" + message))
        assert same.status_code == expected
    logged = [
        (record.__dict__["command"], record.__dict__["caller"], record.__dict__["run_id"])
        for record in caplog.records
        if record.name == "gateway.audit"
    ]
    assert logged == [
        ("batch start", "shop", batch_run),
        ("batch pause", "shop", batch_run),
        ("batch resume", "shop", batch_run),
        ("batch cancel", "shop", batch_run),
        ("cancel", "shop", run_id),
    ]
    assert message not in caplog.text


async def test_a_key_of_somebody_else_is_in_use_and_nothing_more_is_said(
    http: httpx.AsyncClient, harness: SendHarness
) -> None:
    for owner in ("crm", "the command line", "another workflow type"):
        message, batch = await ids_of(http, harness, owner)
        for caller in ("shop", "support"):
            body = {"to": new_phone(), "message": "x"}
            answers = [
                await http.post("/v1/messages", json=body, headers=headers_of(caller, message)),
                await http.post(
                    "/v1/batches",
                    json={"key": batch, "rows": [body]},
                    headers=headers_of(caller),
                ),
                await http.post(
                    f"/v1/batches/{batch}/rows",
                    content=json.dumps(body),
                    headers=headers_of(caller) | {"Content-Type": "application/x-ndjson"},
                ),
            ]
            for answer in answers:
                assert answer.status_code == 409, answer.text
                assert answer.json() == {
                    "type": "about:blank",
                    "title": "key in use",
                    "status": 409,
                }
                assert answer.headers["content-type"] == PROBLEM


async def test_a_caller_keeps_its_message_if_somebody_sends_it_again(
    http: httpx.AsyncClient,
    harness: SendHarness,
    provider: Simulator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "gateway.audit")
    client, key, phone = harness.client, f"k-{uuid.uuid4()}", new_phone()
    await provider.faults(Fault(route="send_text", status=400, times=2))
    await start_message(http, "shop", key, to=phone, sendAt=None)
    first = await get_state(client, key, wait=True)
    assert first.outcome == "failed"
    # The operator starts it again under its key, and it fails again.
    operator = Origin(started_by="ada@laptop", reason="the account was blocked")
    await resending.start_again(client, key, task_queue=harness.task_queue, origin=operator)
    second = await get_state(client, key, wait=True)
    assert second.origin == operator.model_copy(update={"caller": "shop"})
    seen = await http.get(f"/v1/messages/{key}", headers=headers_of("shop"))
    assert (seen.status_code, seen.json()["status"]) == (200, "failed")
    # The caller itself starts it again with its key.
    await start_message(http, "shop", key, to=phone, sendAt=None)
    third = await get_state(client, key, wait=True)
    assert (third.outcome, third.origin) == ("accepted", Origin(caller="shop"))
    (line,) = [record for record in caplog.records if record.name == "gateway.audit"]
    assert (line.__dict__["command"], line.__dict__["run_id"]) == ("resend", third.run_id)
    # A copy under a new id belongs to the caller as well.
    copy = await resending.resend(
        client, key, force=True, task_queue=harness.task_queue, origin=operator
    )
    assert (await get_state(client, copy.id, wait=True)).origin.caller == "shop"
    assert len(await provider.inbox(phone)) == 2


async def test_a_batch_keeps_its_caller_when_it_starts_again_without_one(
    http: httpx.AsyncClient, harness: SendHarness
) -> None:
    key = f"b-{uuid.uuid4()}"
    await start_batch(http, "shop", key)
    await http.post(f"/v1/batches/{key}/cancel", headers=headers_of("shop"))

    async def ended() -> bool:
        return not (await batches.get_status(harness.client, key)).running

    await until(ended)
    rows, _ = await batches.failed_rows(harness.client, key)
    await batches.start(harness.client, key, rows, [], task_queue=harness.task_queue)
    await until(ended)
    report = await http.get(f"/v1/batches/{key}/report", headers=headers_of("shop"))
    assert [row["outcome"] for row in report.json()["rows"]] == ["accepted"]


async def test_without_tokens_everything_is_visible_and_belongs_to_nobody(
    http: httpx.AsyncClient, harness: SendHarness
) -> None:
    message, batch = await ids_of(http, harness, "shop")
    async with gateway(harness.client, harness.task_queue) as open_to_all:
        assert (await open_to_all.get(f"/v1/messages/{message}")).status_code == 200
        assert (await open_to_all.get(f"/v1/batches/{batch}")).status_code == 200
        mine = await open_to_all.post(
            "/v1/messages", json={"to": new_phone(), "message": "x", "sendAt": FAR}
        )
    assert (await get_state(harness.client, mine.json()["id"])).origin == Origin()
    await cancel(harness.client, message)


async def test_each_caller_has_its_own_limit(
    client: Client, harness: SendHarness, callers_file: Path
) -> None:
    callers_file.write_text(
        "callers: {shop: {token: the-token-of-shop, requests_per_minute: 2},"
        " crm: {token: the-token-of-crm}}"
    )
    limit = {"GATEWAY_MAX_REQUESTS_PER_MINUTE": "3"}
    async with gateway(client, "nobody", Tokens({}, None, callers_file), **limit) as http:
        for caller, allowed in (("shop", 2), ("crm", 3)):
            statuses = [
                (await http.get("/v1/batches/none", headers=headers_of(caller))).status_code
                for _ in range(4)
            ]
            assert statuses == [404] * allowed + [429] * (4 - allowed)


WEBHOOKS = """
webhooks:
  signed: {caller: shop, key: id, request: {to: to, message: text}, signature: SIGNATURE}
  nameless: {key: id, request: {to: to, message: text}, signature: SIGNATURE}
  plain: {key: id, request: {to: to, message: text}}
""".replace("SIGNATURE", "{header: X-Hash, encoding: hex, secret: HOOK_SECRET}")


async def test_the_runs_of_a_webhook_belong_to_the_caller_that_it_names(
    server: DevServer, harness: SendHarness, tmp_path: Path, callers_file: Path
) -> None:
    file = tmp_path / "webhooks.yaml"
    file.write_text(WEBHOOKS)
    variables = {
        "TEMPORAL_ADDRESS": server.address,
        "TEMPORAL_TASK_QUEUE": harness.task_queue,
        "GATEWAY_CALLERS_FILE": str(callers_file),
        "GATEWAY_TOKENS": "crm:the-token-of-crm",
        "GATEWAY_WEBHOOKS_FILE": str(file),
        "HOOK_SECRET": "secret",
    }
    async with gateway_process(tmp_path, **variables) as running:
        http, key = running.http, str(uuid.uuid4())
        body = json.dumps({"id": key, "to": new_phone(), "text": "x"}).encode()
        signature = hmac.new(b"secret", body, hashlib.sha256).hexdigest()
        signed, json_type = {"X-Hash": signature}, {"Content-Type": "application/json"}
        for name, owner in (("signed", "shop"), ("nameless", "webhook nameless"), ("plain", "crm")):
            headers = json_type | (headers_of("crm") if name == "plain" else signed)
            for _ in range(2):
                answer = await http.post(f"/v1/webhooks/{name}", content=body, headers=headers)
                assert answer.status_code == 202, answer.text
            url = answer.json()["statusUrl"]
            state = await get_state(harness.client, answer.json()["id"])
            assert state.origin.caller == owner
            for caller in ("shop", "crm", "support"):
                seen = await http.get(url, headers=headers_of(caller))
                assert (seen.status_code == 200) == (caller in (owner, "support"))
        headers = json_type | headers_of("shop")
        other = await http.post("/v1/webhooks/plain", content=body, headers=headers)
        assert other.status_code == 409
