"""The HTTP gateway on a real socket: contract, keys, waiting, cancelling, tokens, hostile HTTP."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from temporalio.client import Client

from settings import GatewaySettings, SettingsError
from simulator.faults import Fault
from simulator.process import Simulator
from starters import client as sends
from starters import gateway_http, gateway_tokens
from starters.gateway import Gateway, create_app, run, serving
from starters.gateway_tokens import Tokens
from tests.conftest import Bench, new_phone, until
from tools.dev_server import free_port

LATER = {"retry-after": "60"}
PROBLEM = "application/problem+json"


@asynccontextmanager
async def gateway(
    client: Client, task_queue: str, tokens: Tokens | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    settings = GatewaySettings.load(
        {"TEMPORAL_TASK_QUEUE": task_queue, "TEMPORAL_UI_URL": "http://ui"}
    )
    port = free_port()
    app = create_app(Gateway(client, settings), tokens or Tokens({}, None))
    async with (
        serving(app, "127.0.0.1", port),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as http,
    ):
        yield http


@pytest.fixture
async def http(client: Client, bench: Bench) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway(client, bench.task_queue) as opened:
        yield opened


def key() -> str:
    return f"order/{uuid.uuid4()}?#%"


async def post(http: httpx.AsyncClient, *, headers: Any = None, **fields: Any) -> httpx.Response:
    body = {"to": new_phone(), "message": "x"} | fields
    return await http.post("/v1/messages", json=body, headers=headers)


async def test_a_message_is_accepted_and_its_state_is_found(
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
    await until(lambda: _has(http, body["statusUrl"], "accepted"))
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


async def test_a_wait_that_is_too_short_answers_running(
    http: httpx.AsyncClient, provider: Simulator
) -> None:
    await provider.faults(Fault(route="find_contact", status=503, headers=LATER))
    answer = await post(http, headers={"Prefer": "wait=1"})
    assert (answer.status_code, answer.json()["status"]) == (202, "running")


@pytest.mark.parametrize("quoted", [False, True])
async def test_a_key_gives_the_existing_run(
    http: httpx.AsyncClient, provider: Simulator, quoted: bool
) -> None:
    one, phone = key(), new_phone()
    header = {"Idempotency-Key": f'"{one}"' if quoted else one}
    answers = await asyncio.gather(*(post(http, to=phone, headers=header) for _ in range(20)))
    assert {a.status_code for a in answers} == {202}
    assert {a.json()["id"] for a in answers} == {one}
    url = answers[0].json()["statusUrl"]
    await until(lambda: _has(http, url, "accepted"))
    again = await post(http, to=phone, headers=header | {"Prefer": "wait=5"})
    assert (again.status_code, again.json()["status"]) == (200, "accepted")
    other = await post(http, to=phone, message="y", headers=header)
    assert other.status_code == 422
    assert other.headers["content-type"] == PROBLEM
    assert len(await provider.inbox(phone)) == 1


async def test_a_failed_key_starts_again_and_an_unknown_one_never(
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


async def test_delete_tells_the_truth(http: httpx.AsyncClient, provider: Simulator) -> None:
    await provider.faults(Fault(route="find_contact", status=503, headers=LATER))
    begun = (await post(http)).json()
    cancelled = await http.delete(begun["statusUrl"])
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    again = await http.delete(begun["statusUrl"])
    assert again.status_code == 200
    await provider.faults()
    done = (await post(http, headers={"Prefer": "wait=20"})).json()
    late = await http.delete(done["statusUrl"])
    assert late.status_code == 409
    assert late.headers["content-type"] == PROBLEM


@pytest.mark.parametrize("bad", ["", '""', '"', '"a', '"a"b', "x" * 201, '"a\\b"', "\x7f"])
async def test_a_wrong_key_is_refused(http: httpx.AsyncClient, bad: str) -> None:
    answer = await post(http, headers={"Idempotency-Key": bad})
    assert (answer.status_code, answer.json()["status"]) == (400, 400)


async def test_two_keys_are_refused(http: httpx.AsyncClient) -> None:
    answer = await http.post(
        "/v1/messages",
        json={},
        headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")],
    )
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b'{"to": "+1234567890"}', 422, "request"),
        (b'{"to": 5, "message": "canary"}', 422, "to"),
        (b'{"to": "+1", "message": "x", "canary": 1}', 422, "canary"),
        (b'{"to": "+1", "template": "t", "variables": {"name": null}}', 422, "variables.name"),
        (b'{"to": "+1", "message": "x", "to": "+2"}', 400, None),
        (b'{"to": "+1", "template": "t", "variables": {"a": 1, "a": 2}}', 400, None),
        (b'{"to": "+1", "template": "t", "variables": {"a": NaN}}', 400, None),
        (b'{"to": "+1", "template": "t", "variables": {"a": Infinity}}', 400, None),
        (b'{"to": "+1", "template": "t", "variables": {"a": 1e999}}', 422, None),
        (b'{"to": "+1", "message": "\\ud800"}', 422, None),
        (b"[" * 30_000, 400, None),
        (b"", 400, None),
        (b"\xff", 400, None),
        (b"[]", 422, "request"),
        (b'{"a": "' + b"x" * 70_000 + b'"}', 413, None),
    ],
)
async def test_a_wrong_body_is_refused_by_its_fields_path(
    http: httpx.AsyncClient, body: bytes, status: int, field: str | None
) -> None:
    headers = {"content-type": "application/json; charset=utf-8"}
    answer = await http.post("/v1/messages", content=body, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == PROBLEM
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    if field:
        assert [e["field"] for e in problem["errors"]] == [field]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/nothing", {}, 404),
        ("GET", "/v1/messages/nothing", {}, 404),
        ("DELETE", "/v1/messages/nothing", {}, 404),
        ("PUT", "/v1/messages", {}, 405),
        ("POST", "/healthz", {}, 405),
        ("POST", "/v1/messages", {"content-type": "text/plain"}, 415),
        ("POST", "/v1/messages", {"x": "y" * 33_000}, 431),
        ("POST", "/v1/messages", {f"x{i}": "y" for i in range(101)}, 431),
    ],
)
async def test_every_refusal_is_a_problem(
    http: httpx.AsyncClient, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = await http.request(method, path, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["status"] == status


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (
            b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"400",
        ),
        (
            b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
            b"Content-Length: 6\r\n\r\n",
            b"400",
        ),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 50_000 + b"\r\n\r\n", b"4"),
        (b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{", b"408"),
        (b"GET /healthz HTTP/1.1\r\nHo", b"408"),
        (b"", b"408"),
        (b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n{", b"413"),
    ],
)
async def test_hostile_http_is_refused_and_the_connection_closed(
    http: httpx.AsyncClient, raw: bytes, status: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_http, "ARRIVES_WITHIN_S", 0.5)
    reader, writer = await asyncio.open_connection("127.0.0.1", http.base_url.port)
    writer.write(raw)
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    assert answer.split(b" ")[1].startswith(status)
    assert PROBLEM.encode() in answer


async def test_a_token_is_needed_where_there_are_some(client: Client, bench: Bench) -> None:
    tokens = Tokens(gateway_tokens.parse(["crm:secret", "shop:other"]), None)
    async with gateway(client, bench.task_queue, tokens) as http:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic secret"}):
            refused = await post(http, headers=headers)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
            assert refused.headers["content-type"] == PROBLEM
        assert (await post(http, headers={"Authorization": "Bearer other"})).status_code == 202
        for path in ("/healthz", "/readyz", "/openapi.json"):
            assert (await http.get(path)).status_code == 200


async def test_the_tokens_file_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_tokens, "READ_AGAIN_AFTER_S", 0.0)
    file = tmp_path / "tokens"
    file.write_text("# ours\ncrm:one\n")
    tokens = Tokens({}, file)
    assert tokens.name_of([b"Bearer one"]) == "crm"
    file.write_text("crm:two\n")
    assert tokens.name_of([b"Bearer one"]) is None
    assert tokens.name_of([b"bearer two"]) == "crm"
    file.write_text("nonsense\n")
    assert tokens.name_of([b"Bearer two"]) == "crm"
    file.unlink()
    assert tokens.name_of([b"Bearer two", b"Bearer two"]) is None


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"GATEWAY_BIND": "0.0.0.0:8080"}, "GATEWAY_TOKENS is not set"),
        ({"GATEWAY_BIND": "example.com:80"}, "GATEWAY_TOKENS is not set"),
        ({"GATEWAY_TOKENS": "canary"}, "no name:token"),
        ({"GATEWAY_TOKENS_FILE": "no-such-file"}, "cannot be read"),
        ({"GATEWAY_BIND": "canary"}, "GATEWAY_BIND"),
    ],
)
def test_it_refuses_to_start(variables: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError, match=says) as wrong:
        Tokens.of(GatewaySettings.load(variables))
    assert "canary" not in str(wrong.value)


def test_loopback_needs_no_token() -> None:
    for bind in ("127.0.0.1:1", "[::1]:1", "localhost:1"):
        assert Tokens.of(GatewaySettings.load({"GATEWAY_BIND": bind})).name_of([])


async def test_without_temporal_it_answers_503_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{free_port()}")
    monkeypatch.setenv("GATEWAY_BIND", f"127.0.0.1:{port}")
    serving_task = asyncio.create_task(run(GatewaySettings.load()))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
        await until(lambda: _answers(http))
        for method, path in (
            ("POST", "/v1/messages"),
            ("GET", "/v1/messages/x"),
            ("DELETE", "/v1/messages/x"),
            ("GET", "/readyz"),
        ):
            began = time.monotonic()
            answer = await http.request(
                method, path, json={"to": "+1234567890", "message": "x"}, timeout=20
            )
            assert answer.status_code == 503
            assert answer.headers["retry-after"]
            assert answer.headers["content-type"] == PROBLEM
            assert time.monotonic() - began < 10
    serving_task.cancel()
    await asyncio.wait([serving_task])


async def test_more_at_once_than_it_can_bear_is_refused(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_http, "MAX_IN_FLIGHT", 0)
    answer = await post(http)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_the_openapi_document_has_the_contract(http: httpx.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    body = document["paths"]["/v1/messages"]["post"]["requestBody"]["content"]["application/json"]
    assert "fileUrl" in body["schema"]["properties"]
    assert {"text", "template", "file"} == set(body["examples"])


async def test_the_access_log_has_the_route_and_no_data(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "gateway.access"):
        await http.get("/v1/messages/canary?canary=1")
    record: Callable[[str], Any] = caplog.records[-1].__getattribute__
    assert record("route") == "/v1/messages/{id:path}"
    assert "canary" not in json.dumps(vars(caplog.records[-1]), default=lambda o: "")


async def test_a_run_of_another_kind_is_no_message(
    http: httpx.AsyncClient, client: Client, bench: Bench
) -> None:
    other = await client.start_workflow("Other", id=f"other-{uuid.uuid4()}", task_queue="nobody")
    assert (await http.get(f"/v1/messages/{other.id}")).status_code == 404
    refused = await post(http, headers={"Idempotency-Key": other.id})
    assert refused.status_code == 422
    await other.terminate()


async def _has(http: httpx.AsyncClient, url: str, status: str) -> bool:
    found = (await http.get(url)).json()
    return bool(found["status"] == status)


async def _answers(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/healthz")).status_code == 200
    except httpx.ConnectError:
        return False


def test_states_of_a_new_run_are_running() -> None:
    assert sends.State.begun(sends.Started(id="a", run_id="b")).outcome == "running"
