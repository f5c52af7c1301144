"""Bearer tokens, the tokens file and the rate limit."""

import time
from pathlib import Path

import pytest
from temporalio.client import Client

from send_whatsapp.gateway import time_limits
from send_whatsapp.gateway.rate_limit import RateLimit
from send_whatsapp.gateway.tokens import Tokens, parse_tokens
from send_whatsapp.settings import GatewaySettings, SettingsError
from tests.conftest import SendHarness
from tests.gateway.conftest import PROBLEM, gateway, post


async def test_a_caller_above_its_rate_limit_gets_retry_after(
    client: Client, harness: SendHarness
) -> None:
    tokens = Tokens(parse_tokens(["crm:the-token-of-crm", "shop:the-token-of-shop"]), None)
    limit = {"GATEWAY_MAX_REQUESTS_PER_MINUTE": "2"}
    async with gateway(client, harness.task_queue, tokens, **limit) as http:
        crm, shop = ({"Authorization": f"Bearer {token}"} for token in ("the-token-of-crm", "the-token-of-shop"))
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
    tokens = Tokens(parse_tokens(["crm:the-token-of-crm", "shop:the-token-of-shop"]), None)
    async with gateway(client, harness.task_queue, tokens) as http:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic the-token-of-crm"}):
            refused = await post(http, headers=headers)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
            assert refused.headers["content-type"] == PROBLEM
        assert (await post(http, headers={"Authorization": "Bearer the-token-of-shop"})).status_code == 202
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
