"""Bearer tokens, the tokens file and the rate limit."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from temporalio.client import Client

from send_whatsapp.gateway.access import Caller
from send_whatsapp.gateway.rate_limit import RateLimit
from send_whatsapp.gateway.tokens import Tokens, parse_tokens
from send_whatsapp.settings import GatewaySettings, SettingsError
from tests.conftest import SendHarness, until
from tests.gateway.conftest import PROBLEM, gateway, gateway_process, post
from tools.dev_server import DevServer


async def test_a_caller_above_its_rate_limit_gets_retry_after(
    client: Client, harness: SendHarness
) -> None:
    tokens = Tokens(parse_tokens(["crm:the-token-of-crm", "shop:the-token-of-shop"]), None)
    limit = {"GATEWAY_MAX_REQUESTS_PER_MINUTE": "2"}
    async with gateway(client, harness.task_queue, tokens, **limit) as http:
        crm, shop = (
            {"Authorization": f"Bearer {token}"}
            for token in ("the-token-of-crm", "the-token-of-shop")
        )
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
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "Basic the-token-of-crm"},
        ):
            refused = await post(http, headers=headers)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
            assert refused.headers["content-type"] == PROBLEM
        assert (
            await post(http, headers={"Authorization": "Bearer the-token-of-shop"})
        ).status_code == 202
        for path in ("/healthz", "/readyz", "/openapi.json"):
            assert (await http.get(path)).status_code == 200


ONE, TWO = "one-of-our-tokens", "two-of-our-tokens"


def allowed(tokens: Tokens, *given: str) -> list[str | None]:
    callers = (tokens.caller([f"Bearer {token}".encode()]) for token in given)
    return [caller.name if caller else None for caller in callers]


def test_a_changed_tokens_file_replaces_the_tokens(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# ours\ncrm:{ONE}\n")
    tokens = Tokens({}, file)
    assert tokens.file is not None
    assert allowed(tokens, ONE, TWO) == ["crm", None]
    file.write_text(f"crm:{TWO}\n")
    tokens.file.read()
    assert allowed(tokens, ONE, TWO) == [None, "crm"]
    assert tokens.caller([f"bearer {TWO}".encode()]) == Caller("crm")
    assert tokens.caller([f"Bearer {TWO}".encode()] * 2) is None


def become_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


BROKEN: dict[str, Callable[[Path], object]] = {
    "removed": Path.unlink,
    "empty": lambda file: file.write_text(""),
    "only comments": lambda file: file.write_text("# none\n"),
    "nonsense": lambda file: file.write_text("nonsense"),
    "half written": lambda file: file.write_text(f"crm:{ONE[:10]}"),
    "a name twice": lambda file: file.write_text(f"crm:{ONE}\ncrm:{TWO}"),
    "not text": lambda file: file.write_bytes(b"\xff\xfe\0"),
    "a folder": become_a_folder,
}


@pytest.mark.parametrize("how", BROKEN)
def test_the_tokens_of_a_broken_file_are_valid_for_ten_minutes_and_then_rejected(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    file = tmp_path / "tokens"
    file.write_text(f"crm:{ONE}\n")
    tokens = Tokens({"shop": TWO}, file)
    assert tokens.file is not None
    BROKEN[how](file)
    for _ in range(120):
        tokens.file.read()
        assert allowed(tokens, ONE, TWO) == ["crm", "shop"]
        now += 5
    assert len(caplog.records) == 10
    assert all(record.levelname == "ERROR" for record in caplog.records)
    assert "GATEWAY_TOKENS_FILE" in caplog.text
    assert ONE not in caplog.text
    now += 1
    tokens.file.read()
    assert allowed(tokens, ONE, TWO) == [None, "shop"]
    assert "no longer accepted" in caplog.records[-1].getMessage()
    if file.is_dir():
        file.rmdir()
    file.write_text(f"crm:{ONE}\n")
    tokens.file.read()
    assert allowed(tokens, ONE, TWO) == ["crm", "shop"]


def test_a_gateway_whose_only_tokens_are_lost_serves_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    file = tmp_path / "tokens"
    file.write_text(f"crm:{ONE}\n")
    tokens = Tokens({}, file)
    file.unlink()
    now += 601
    assert allowed(tokens, ONE, "") == [None, None]
    assert tokens.caller([]) is None
    assert not tokens.everybody_may_call


async def test_the_command_reads_its_tokens_file_again(server: DevServer, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"crm:{ONE}\n")
    variables = {"TEMPORAL_ADDRESS": server.address, "GATEWAY_TOKENS_FILE": str(file)}
    async with gateway_process(tmp_path, **variables) as running:

        async def status(token: str) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            return (await running.http.get("/v1/messages/none", headers=headers)).status_code

        async def is_served(token: str) -> bool:
            return await status(token) == 404

        assert [await status(ONE), await status(TWO)] == [404, 401]
        file.write_text(f"crm:{TWO}\n")
        await until(lambda: is_served(TWO), within_s=10)
        assert await status(ONE) == 401
        file.unlink()
        await until(lambda: "GATEWAY_TOKENS_FILE cannot be read" in running.log(), within_s=10)
        assert [await status(ONE), await status(TWO)] == [401, 404]


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"GATEWAY_BIND": "0.0.0.0:8080"}, "GATEWAY_TOKENS is not set"),
        ({"GATEWAY_BIND": "example.com:80"}, "GATEWAY_TOKENS is not set"),
        ({"GATEWAY_TOKENS": "canary"}, "name:token entries"),
        ({"GATEWAY_TOKENS": "crm:fifteen-canary-"}, "fewer than 16 characters"),
        ({"GATEWAY_TOKENS": f"crm:{ONE},shop:canary"}, "fewer than 16 characters"),
        ({"GATEWAY_TOKENS_FILE": "no-such-file"}, "cannot be read"),
        ({"GATEWAY_BIND": "canary"}, "GATEWAY_BIND"),
    ],
)
def test_wrong_settings_are_refused(variables: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem) as wrong:
        Tokens.from_settings(GatewaySettings.load(variables))
    assert "canary" not in str(wrong.value)


@pytest.mark.parametrize("text", ["", "# none", "crm:short"])
def test_a_tokens_file_without_good_tokens_is_refused_at_the_start(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "tokens").write_text(text)
    settings = GatewaySettings.load({"GATEWAY_TOKENS_FILE": str(tmp_path / "tokens")})
    with pytest.raises(SettingsError, match="GATEWAY_TOKENS_FILE contains") as wrong:
        Tokens.from_settings(settings)
    assert "short" not in str(wrong.value)


def test_loopback_needs_no_token() -> None:
    for bind in ("127.0.0.1:1", "[::1]:1", "localhost:1"):
        assert Tokens.from_settings(GatewaySettings.load({"GATEWAY_BIND": bind})).caller([])
