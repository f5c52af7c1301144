"""Single messages over HTTP on a real socket: keys, waiting, cancelling, errors, tokens."""

import asyncio
import json
import re
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from temporalio.client import Client

from send_whatsapp.client import sends
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.gateway import middleware, time_limits
from send_whatsapp.gateway.rate_limit import RateLimit
from send_whatsapp.gateway.tokens import Tokens, parse_tokens
from send_whatsapp.settings import GatewaySettings, SettingsError
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import SendHarness, new_phone, until
from tests.gateway.conftest import PROBLEM, gateway, has_status, key, post

LATER = {"retry-after": "60"}


async def test_a_message_is_accepted_and_its_status_url_shows_the_result(
    http: httpx.AsyncClient, provider: Simulator
) -> None:
    phone = new_phone()
    answer = await post(http, to=phone)
    assert answer.status_code == 202
    body = answer.json()
    assert body["status"] == "running"
    assert set(body) == {"id", "status", "statusUrl", "uiUrl"}
    assert answer.headers["location"] == body["statusUrl"]
    assert body["uiUrl"].startswith("http://ui/namespaces/default/workflows/")
    await until(lambda: has_status(http, body["statusUrl"], "accepted"))
    found = (await http.get(body["statusUrl"])).json()
    assert found["result"]["to"] == phone
    assert len(await provider.inbox(phone)) == 1


async def test_prefer_wait_answers_with_the_result(http: httpx.AsyncClient) -> None:
    answer = await post(http, headers={"Prefer": "respond-async, wait=20"})
    assert answer.status_code == 200
    assert answer.json()["status"] == "accepted"
    assert answer.json()["result"]["success"] is True
    failed = await post(http, to="call me", headers={"Prefer": "wait=20"})
    assert failed.status_code == 200
    assert failed.json()["result"]["success"] is False
    assert failed.json()["result"]["error"]["type"] == "InvalidPhoneNumber"


async def test_the_answer_is_running_if_the_wait_is_too_short(
    http: httpx.AsyncClient, provider: Simulator
) -> None:
    await provider.faults(Fault(route="find_contact", status=503, headers=LATER))
    answer = await post(http, headers={"Prefer": "wait=1"})
    assert (answer.status_code, answer.json()["status"]) == (202, "running")


@pytest.mark.parametrize("quoted", [False, True])
async def test_a_repeated_key_answers_with_the_existing_run(
    http: httpx.AsyncClient, provider: Simulator, quoted: bool
) -> None:
    one, phone = key(), new_phone()
    header = {"Idempotency-Key": f'"{one}"' if quoted else one}
    answers = await asyncio.gather(*(post(http, to=phone, headers=header) for _ in range(20)))
    assert {a.status_code for a in answers} == {202}
    assert {a.json()["id"] for a in answers} == {one}
    url = answers[0].json()["statusUrl"]
    await until(lambda: has_status(http, url, "accepted"))
    again = await post(http, to=phone, headers=header | {"Prefer": "wait=5"})
    assert (again.status_code, again.json()["status"]) == (200, "accepted")
    other = await post(http, to=phone, message="y", headers=header)
    assert other.status_code == 422
    assert other.headers["content-type"] == PROBLEM
    assert len(await provider.inbox(phone)) == 1


async def test_a_failed_key_starts_again_but_an_unknown_one_never_does(
    http: httpx.AsyncClient, provider: Simulator
) -> None:
    wait = {"Prefer": "wait=20"}
    phone = new_phone()
    failed = {"Idempotency-Key": key()} | wait
    await provider.faults(Fault(route="send_text", status=400, times=1))
    assert (await post(http, to=phone, headers=failed)).json()["status"] == "failed"
    assert (await post(http, to=phone, headers=failed)).json()["status"] == "accepted"
    unknown = {"Idempotency-Key": key()} | wait
    await provider.faults(Fault(route="send_text", kind="cut", times=1))
    fields = {"to": phone, "delivery": "at_most_once"}
    first = await post(http, headers=unknown, **fields)
    second = await post(http, headers=unknown, **fields)
    assert first.json() == second.json()
    assert second.json()["status"] == "unknown"
    assert second.status_code == 200
    assert len(await provider.inbox(phone)) == 1


async def test_delete_cancels_a_message_that_was_not_sent(
    http: httpx.AsyncClient, provider: Simulator
) -> None:
    await provider.faults(Fault(route="find_contact", status=503, headers=LATER))
    running = (await post(http)).json()
    cancelled = await http.delete(running["statusUrl"])
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    again = await http.delete(running["statusUrl"])
    assert again.status_code == 200
    await provider.faults()
    done = (await post(http, headers={"Prefer": "wait=20"})).json()
    late = await http.delete(done["statusUrl"])
    assert late.status_code == 409
    assert late.headers["content-type"] == PROBLEM


@pytest.mark.parametrize("bad", ["", '""', '"', '"a', '"a"b', "x" * 201, '"a\\b"', "\x7f"])
async def test_a_malformed_key_is_refused(http: httpx.AsyncClient, bad: str) -> None:
    answer = await post(http, headers={"Idempotency-Key": bad})
    assert (answer.status_code, answer.json()["status"]) == (400, 400)


async def test_several_keys_are_refused(http: httpx.AsyncClient) -> None:
    answer = await http.post(
        "/v1/messages",
        json={},
        headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")],
    )
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("body", "status", "fields"),
    [
        (b'{"to": "+1234567890"}', 422, ["request"]),
        (b'{"to": 5, "message": "canary"}', 422, ["to"]),
        (b'{"to": "+1", "message": "x", "canary": 1}', 422, ["canary"]),
        (b'{"to": "+1", "message": "x", "send_at": "2027-01-31T09:00:00Z"}', 422, ["send_at"]),
        (b'{"to": "+1", "message": "x", "sendAt": 1801386000}', 422, ["sendAt"]),
        (b'{"to": "+1", "template": "t", "variables": {"name": null}}', 422, ["variables.name"]),
        (b'{"to": "+1", "message": "x", "to": "+2"}', 400, None),
        (b'{"to": "+1", "template": "t", "variables": {"a": 1, "a": 2}}', 400, None),
        (b'{"to": "+1", "template": "t", "variables": {"a": NaN}}', 400, None),
        (b'{"to": "+1", "template": "t", "variables": {"a": Infinity}}', 400, None),
        (b'{"to": "+1", "template": "t", "variables": {"a": 1e999}}', 422, ["variables.a"]),
        (b'{"to": "+1", "message": "\\ud800"}', 422, ["message"]),
        (b"[" * 30_000, 400, None),
        (b'{"a":' * 300 + b"1" + b"}" * 300, 422, ["to", "a"]),
        (b'{"a":' * 600 + b"1" + b"}" * 600, 422, ["to", "a"]),
        (b'{"a":' * 2000 + b"1" + b"}" * 2000, 400, None),
        (b"", 400, None),
        (b"\xff", 400, None),
        (b"[]", 422, ["request"]),
        (b'{"a": "' + b"x" * 70_000 + b'"}', 413, None),
    ],
)
async def test_an_invalid_body_is_refused_and_its_fields_are_named(
    http: httpx.AsyncClient, body: bytes, status: int, fields: list[str] | None
) -> None:
    headers = {"content-type": "application/json; charset=utf-8"}
    answer = await http.post("/v1/messages", content=body, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == PROBLEM
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    if fields:
        assert [e["field"] for e in problem["errors"]] == fields


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/nothing", {}, 404),
        ("GET", "/v1/messages/nothing", {}, 404),
        ("GET", "/v1/messages/", {}, 404),
        ("GET", "/v1/messages/%00", {}, 404),
        ("GET", "/v1/messages/%ff", {}, 404),
        ("GET", "/v1/messages/" + "x" * 2000, {}, 404),
        ("GET", "/healthz/", {}, 404),
        ("POST", "/v1/webhooks/nobody", {}, 404),
        ("DELETE", "/v1/messages/nothing", {}, 404),
        ("PUT", "/v1/messages", {}, 405),
        ("POST", "/healthz", {}, 405),
        ("POST", "/v1/messages", {"content-type": "text/plain"}, 415),
        ("POST", "/v1/messages", {"x": "y" * 33_000}, 431),
        ("POST", "/v1/messages", {f"x{i}": "y" for i in range(101)}, 431),
    ],
)
async def test_every_error_is_a_problem(
    http: httpx.AsyncClient, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = await http.request(method, path, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["status"] == status


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/v1/messages", "POST"),
        ("/v1/messages/x", "DELETE, GET"),
        ("/healthz", "GET"),
        ("/readyz", "GET"),
    ],
)
async def test_a_wrong_method_gets_the_allowed_ones(
    http: httpx.AsyncClient, path: str, allow: str
) -> None:
    answer = await http.request("PATCH", path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    assert answer.headers["content-type"] == PROBLEM


async def test_send_at_starts_later_and_can_be_cancelled_at_once(
    http: httpx.AsyncClient, provider: Simulator
) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    phone = new_phone()
    delayed = await post(http, to=phone, sendAt=soon, headers={"Prefer": "wait=1"})
    assert (delayed.status_code, delayed.json()["status"]) == (202, "running")
    far = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    later = (await post(http, sendAt=far)).json()
    cancelled = await http.delete(later["statusUrl"])
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    await until(lambda: has_status(http, delayed.json()["statusUrl"], "accepted"))
    assert [sent["phone"] for sent in await provider.inbox()] == [phone]


async def test_a_caller_above_its_rate_limit_gets_retry_after(
    client: Client, harness: SendHarness
) -> None:
    tokens = Tokens(parse_tokens(["crm:one", "shop:two"]), None)
    limit = {"GATEWAY_MAX_REQUESTS_PER_MINUTE": "2"}
    async with gateway(client, harness.task_queue, tokens, **limit) as http:
        crm, shop = ({"Authorization": f"Bearer {token}"} for token in ("one", "two"))
        statuses = [(await post(http, headers=crm)).status_code for _ in range(3)]
        assert statuses == [202, 202, 429]
        refused = await post(http, headers=crm)
        assert 1 <= int(refused.headers["retry-after"]) <= 30
        assert refused.headers["content-type"] == PROBLEM
        assert (await post(http, headers=shop)).status_code == 202
        assert (await http.get("/healthz")).status_code == 200


def test_a_rate_limit_refills_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    limit = RateLimit(6)
    assert [limit.take("a") for _ in range(8)] == [0] * 6 + [10, 10]
    now += 9
    assert limit.take("a") == 1
    now += 1
    assert [limit.take("a"), limit.take("a")] == [0, 10]
    assert [limit.take("b"), RateLimit(None).take("a")] == [0, 0]


async def test_a_token_is_required_if_there_are_any(client: Client, harness: SendHarness) -> None:
    tokens = Tokens(parse_tokens(["crm:secret", "shop:other"]), None)
    async with gateway(client, harness.task_queue, tokens) as http:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic secret"}):
            refused = await post(http, headers=headers)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
            assert refused.headers["content-type"] == PROBLEM
        assert (await post(http, headers={"Authorization": "Bearer other"})).status_code == 202
        for path in ("/healthz", "/readyz", "/openapi.json"):
            assert (await http.get(path)).status_code == 200


async def test_a_changed_tokens_file_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_limits, "TOKENS_FILE_CHECK_S", 0.0)
    file = tmp_path / "tokens"
    file.write_text("# ours\ncrm:one\n")
    tokens = Tokens({}, file)
    assert tokens.caller([b"Bearer one"]) == "crm"
    file.write_text("crm:two\n")
    assert tokens.caller([b"Bearer one"]) is None
    assert tokens.caller([b"bearer two"]) == "crm"
    file.write_text("nonsense\n")
    assert tokens.caller([b"Bearer two"]) == "crm"
    file.unlink()
    assert tokens.caller([b"Bearer two", b"Bearer two"]) is None


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"GATEWAY_BIND": "0.0.0.0:8080"}, "GATEWAY_TOKENS is not set"),
        ({"GATEWAY_BIND": "example.com:80"}, "GATEWAY_TOKENS is not set"),
        ({"GATEWAY_TOKENS": "canary"}, "name:token entries"),
        ({"GATEWAY_TOKENS_FILE": "no-such-file"}, "cannot be read"),
        ({"GATEWAY_BIND": "canary"}, "GATEWAY_BIND"),
    ],
)
def test_wrong_settings_are_refused(variables: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem) as wrong:
        Tokens.from_settings(GatewaySettings.load(variables))
    assert "canary" not in str(wrong.value)


def test_loopback_needs_no_token() -> None:
    for bind in ("127.0.0.1:1", "[::1]:1", "localhost:1"):
        assert Tokens.from_settings(GatewaySettings.load({"GATEWAY_BIND": bind})).caller([])


async def test_too_many_requests_at_once_are_refused(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "MAX_IN_FLIGHT", 0)
    answer = await post(http)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_the_openapi_document_contains_the_contract(http: httpx.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    body = document["paths"]["/v1/messages"]["post"]["requestBody"]["content"]["application/json"]
    assert "fileUrl" in body["schema"]["properties"]
    for example in body["examples"].values():
        SendWhatsAppRequest.model_validate_json(json.dumps(example["value"]))
    for operation in ("post", "get", "delete"):
        path = "/v1/messages" if operation == "post" else "/v1/messages/{id}"
        described = document["paths"][path][operation]
        assert described["security"] == [{"HTTPBearer": []}]
        assert {"200", "401", "503"} <= set(described["responses"])
    for text in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)):
        found: Any = document
        for part in text.split("/"):
            found = found[part]


async def test_the_access_log_has_the_route_and_no_data(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "gateway.access"):
        await http.get("/v1/messages/canary?canary=1")
    record: Callable[[str], Any] = caplog.records[-1].__getattribute__
    assert record("route") == "/v1/messages/{id:path}"
    assert "canary" not in json.dumps(vars(caplog.records[-1]), default=lambda o: "")


async def test_a_run_of_another_workflow_type_is_not_a_message(
    http: httpx.AsyncClient, client: Client, harness: SendHarness
) -> None:
    other = await client.start_workflow("Other", id=f"other-{uuid.uuid4()}", task_queue="nobody")
    assert (await http.get(f"/v1/messages/{other.id}")).status_code == 404
    refused = await post(http, headers={"Idempotency-Key": other.id})
    assert refused.status_code == 422
    await other.terminate()


def test_a_new_run_is_running() -> None:
    assert sends.State.begun(sends.Started(id="a", run_id="b")).outcome == "running"
