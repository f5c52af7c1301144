"""Webhooks over HTTP: signatures, and what the declared examples send."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from send_whatsapp.gateway.webhooks import (
    InvalidSignature,
    Webhook,
    load_webhooks,
)
from simulator.process import Simulator
from tests.conftest import SendHarness, new_phone
from tests.gateway.conftest import (
    PROBLEM,
    WEBHOOK_EXAMPLES,
    WEBHOOK_SECRETS,
    WEBHOOKS_FILE,
    GatewayProcess,
    gateway_process,
)
from tools.dev_server import DevServer

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def hmac_of(secret: str, signed: bytes) -> bytes:
    return hmac.new(secret.encode(), signed, hashlib.sha256).digest()


def shop_headers(body: bytes) -> dict[str, str]:
    return {
        "X-Hub-Signature-256": "sha256="
        + hmac_of(WEBHOOK_SECRETS["SHOP_WEBHOOK_SECRET"], body).hex(),
        "Content-Type": "application/json",
    }


def visa_headers(body: bytes, at: datetime) -> dict[str, str]:
    second = str(int(at.timestamp()))
    signed = b"v0:" + second.encode() + b":" + body
    return {
        "X-Visa-Timestamp": second,
        "X-Visa-Signature": "v0=" + hmac_of(WEBHOOK_SECRETS["VISA_WEBHOOK_SECRET"], signed).hex(),
        "Content-Type": "application/json",
    }


def variables(task_queue: str, address: str) -> dict[str, str]:
    return WEBHOOK_SECRETS | {
        "TEMPORAL_ADDRESS": address,
        "TEMPORAL_TASK_QUEUE": task_queue,
        "GATEWAY_TOKENS": "crm:the-token-of-this-test",
        "GATEWAY_WEBHOOKS_FILE": str(WEBHOOKS_FILE),
    }


@pytest.fixture
async def running(
    harness: SendHarness, server: DevServer, tmp_path: Path
) -> AsyncIterator[GatewayProcess]:
    async with gateway_process(
        tmp_path, **variables(harness.task_queue, server.address)
    ) as process:
        yield process


@pytest.fixture(scope="module")
async def refusing(
    server: DevServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[GatewayProcess]:
    """A gateway without a worker, for requests that never reach Temporal."""
    folder = tmp_path_factory.mktemp("gateway")
    async with gateway_process(folder, **variables("nobody", server.address)) as process:
        yield process


def shop_body(phone: str, **order: Any) -> bytes:
    body = json.loads((WEBHOOK_EXAMPLES / "shop.json").read_text())
    body["order"] |= {"id": phone} | order
    body["order"]["customer"]["phone"] = phone
    return json.dumps(body).encode()


async def call(http: httpx.AsyncClient, name: str, body: bytes, **headers: str) -> httpx.Response:
    headers |= {"Prefer": "wait=20"}
    return await http.post(f"/v1/webhooks/{name}", content=body, headers=headers)


async def test_a_signed_body_sends_once_even_if_it_arrives_again(
    running: GatewayProcess, provider: Simulator
) -> None:
    phone = new_phone()
    body = shop_body(phone)
    for _ in range(2):
        answer = await call(running.http, "shop", body, **shop_headers(body))
        assert (answer.status_code, answer.json()["status"]) == (200, "accepted")
        assert answer.json()["id"] == f"webhook:shop:{phone}"
    (sent,) = await provider.inbox(phone)
    assert "Your order is paid" in json.dumps(sent)
    changed = shop_body(phone, note="another")
    answer = await call(running.http, "shop", changed, **shop_headers(changed))
    assert answer.status_code == 422
    last = json.loads(running.log().splitlines()[-1])
    assert (last["caller"], last["route"]) == ("webhook shop", "/v1/webhooks/{name}")
    assert phone not in running.log()


@pytest.mark.parametrize("note", [None, "", " \t", "missing"])
async def test_without_a_note_the_example_sends_its_template_without_a_fallback(
    running: GatewayProcess, provider: Simulator, note: str | None
) -> None:
    phone = new_phone()
    body = json.loads(shop_body(phone, note=note))
    if note == "missing":
        del body["order"]["note"]
    raw = json.dumps(body).encode()
    answer = await call(running.http, "shop", raw, **shop_headers(raw))
    assert answer.json()["result"]["error"]["type"] == "TemplateNotFound"
    assert not await provider.inbox()


async def test_a_body_may_begin_with_a_byte_order_mark(
    running: GatewayProcess, provider: Simulator
) -> None:
    phone = new_phone()
    body = b"\xef\xbb\xbf" + shop_body(phone)
    answer = await call(running.http, "shop", body, **shop_headers(body))
    assert answer.json()["status"] == "accepted"
    assert len(await provider.inbox(phone)) == 1


async def test_a_body_for_which_when_does_not_hold_sends_nothing(
    running: GatewayProcess, provider: Simulator
) -> None:
    body = b'{"event": "order.created"}'
    answer = await call(running.http, "shop", body, **shop_headers(body))
    assert (answer.status_code, answer.content) == (204, b"")
    assert not await provider.inbox()


@pytest.mark.parametrize(
    ("name", "body", "headers", "status"),
    [
        ("shop", b"{}", {}, 401),
        ("shop", b"{}", {"X-Hub-Signature-256": "sha256=" + "0" * 64}, 401),
        ("shop", b"{}", {"X-Hub-Signature-256": "\xff"}, 401),
        ("shop", b"{}", {"Authorization": "Bearer the-token-of-this-test"}, 401),
        ("shop", b'{"a": 1}', shop_headers(b'{"a":1}'), 401),
        ("shop", b"x", shop_headers(b"x"), 400),
        ("shop", b'{"a": 1, "a": 1}', shop_headers(b'{"a": 1, "a": 1}'), 400),
        ("shop", b"{}", shop_headers(b"{}") | {"Content-Type": "text/plain"}, 415),
        ("shop", b" " * 70_000, shop_headers(b" " * 70_000), 413),
        ("visa", b"{}", visa_headers(b"{}", NOW), 401),
        ("crm", b"{}", {"Content-Type": "application/json"}, 401),
        ("nobody", b"{}", {"Content-Type": "application/json"}, 401),
    ],
)
async def test_unsigned_and_invalid_bodies_are_refused(
    refusing: GatewayProcess, name: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    raw = [(n.encode(), v.encode("latin-1")) for n, v in headers.items()]
    answer = await refusing.http.post(f"/v1/webhooks/{name}", content=body, headers=raw)
    assert answer.status_code == status
    assert answer.headers["content-type"] == PROBLEM


async def test_a_signed_body_that_lacks_fields_is_refused(refusing: GatewayProcess) -> None:
    # Signed now, since a signature is valid for minutes only.
    headers = visa_headers(b"{}", datetime.now(UTC))
    answer = await refusing.http.post("/v1/webhooks/visa", content=b"{}", headers=headers)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == PROBLEM


async def test_a_webhook_without_a_signature_needs_a_token(
    running: GatewayProcess, provider: Simulator
) -> None:
    phone = new_phone()
    body = {"id": phone, "contact": {"phones": [{"kind": "mobile", "number": phone}]}}
    allowed = {"Authorization": "Bearer the-token-of-this-test"}
    url = "/v1/webhooks/crm"
    wrong = await running.http.post(url, json=body, headers=allowed)
    assert wrong.status_code == 422
    assert [problem["field"] for problem in wrong.json()["errors"]] == ["fileUrl"]
    body["attachment"] = {"url": "https://example.com/visa.pdf"}
    answer = await running.http.post(url, json=body, headers=allowed | {"Prefer": "wait=20"})
    assert answer.json()["status"] == "accepted"
    assert len(await provider.inbox(phone)) == 1


@pytest.mark.parametrize(
    ("offset", "good"), [(0, True), (-299, True), (299, True), (-301, False), (301, False)]
)
def test_a_signed_time_is_valid_in_its_window_only(offset: int, good: bool) -> None:
    visa = load_webhooks(WEBHOOKS_FILE, WEBHOOK_SECRETS)["visa"]
    at = datetime.fromtimestamp(NOW.timestamp() + offset, UTC)
    headers = httpx.Headers(visa_headers(b"{}", at))
    if good:
        visa.verify(headers, b"{}", NOW)
    else:
        with pytest.raises(InvalidSignature, match="time"):
            visa.verify(headers, b"{}", NOW)
    headers["X-Visa-Timestamp"] = str(int(NOW.timestamp()) + 1 + offset)
    with pytest.raises(InvalidSignature, match="signature"):
        visa.verify(headers, b"{}", NOW)


def test_the_hex_digits_of_a_signature_may_be_in_upper_case() -> None:
    shop = load_webhooks(WEBHOOKS_FILE, WEBHOOK_SECRETS)["shop"]
    header = "X-Hub-Signature-256"
    given = shop_headers(b"{}")[header].removeprefix("sha256=")
    for good in (given, given.upper()):
        shop.verify({header: f"sha256={good}"}, b"{}", NOW)
    for bad in (f"SHA256={given}", given.upper(), f"sha256={given.upper()}0"):
        with pytest.raises(InvalidSignature):
            shop.verify({header: bad}, b"{}", NOW)


def test_a_signature_may_be_base64() -> None:
    declared = {"header": "X-Shopify-Hmac-Sha256", "encoding": "base64", "secret": "S"}
    webhook = Webhook.model_validate(
        {"key": "id", "request": {"to": "to"}, "signature": declared, "secret": "s"}
    )
    good = base64.b64encode(hmac_of("s", b"{}")).decode()
    webhook.verify({"X-Shopify-Hmac-Sha256": good}, b"{}", NOW)
    with pytest.raises(InvalidSignature):
        webhook.verify({"X-Shopify-Hmac-Sha256": hmac_of("s", b"{}").hex()}, b"{}", NOW)
