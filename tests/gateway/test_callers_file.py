"""The callers file: who it declares, and what is said about a wrong one."""

import hashlib
import time
from pathlib import Path

import pytest
import yaml

from send_whatsapp.gateway.access import ALL_PERMISSIONS, Caller
from send_whatsapp.gateway.callers_file import read_callers
from send_whatsapp.gateway.tokens import Tokens
from send_whatsapp.settings import GatewaySettings, SettingsError
from tests.conftest import ROOT

ONE, TWO = "one-of-our-tokens", "two-of-our-tokens"


def sha(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def found(tokens: Tokens, token: str) -> Caller | None:
    return tokens.caller([f"Bearer {token}".encode()])


def test_the_file_says_what_a_caller_may_do_and_see(tmp_path: Path) -> None:
    file = tmp_path / "callers.yaml"
    file.write_text(
        f"""
callers:
  shop:
    token_sha256: {sha(ONE).upper()}
    may: [send, opt-out]
    templates: [visa_approved]
    requests_per_minute: 600
    callback: shop
  support: {{token: {TWO}, sees: all}}
"""
    )
    tokens = Tokens({}, None, file)
    assert not tokens.everybody_may_call
    assert found(tokens, ONE) == Caller(
        "shop",
        may=frozenset({"send", "opt-out"}),
        templates=frozenset({"visa_approved"}),
        requests_per_minute=600,
        callback="shop",
    )
    assert found(tokens, TWO) == Caller("support", sees_all=True, may=ALL_PERMISSIONS)
    assert found(tokens, "neither-of-them") is None
    assert found(tokens, sha(ONE)) is None


def test_a_caller_may_have_two_tokens_while_one_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "callers.yaml"
    file.write_text(f"callers: {{shop: {{token_sha256: [{sha(ONE)}, {sha(TWO)}]}}}}")
    tokens = Tokens({}, None, file)
    assert found(tokens, ONE) == found(tokens, TWO) == Caller("shop")


def test_the_example_is_right() -> None:
    assert set(read_callers(ROOT / "examples" / "callers.yaml")) == {
        "shop",
        "newsletter",
        "support",
    }


CANARY = "canary-canary-canary"
WRONG = {
    "": "the file",
    "callers: {}": "callers",
    "callers:": "callers",
    "callers: [shop]": "callers",
    "caller: {}": "caller",
    "callers: {shop: {}}": "callers.shop: must have either token_sha256 or token",
    f"callers: {{shop: {{token: {CANARY}, token_sha256: {sha(CANARY)}}}}}": "callers.shop",
    "callers: {shop: {token: canary}}": "fewer than 16 characters",
    "callers: {shop: {token: 1234567890123456}}": "callers.shop.token: must be ASCII text",
    f"callers: {{shop: {{token_sha256: {CANARY}}}}}": "callers.shop.token_sha256",
    f"callers: {{shop: {{token_sha256: {sha(CANARY)[1:]}}}}}": "callers.shop.token_sha256",
    "callers: {shop: {token_sha256: []}}": "callers.shop.token_sha256",
    f"callers: {{shop: {{token: {CANARY}, may: [sent]}}}}": "callers.shop.may",
    f"callers: {{shop: {{token: {CANARY}, may: []}}}}": "callers.shop.may",
    f"callers: {{shop: {{token: {CANARY}, may: send}}}}": "callers.shop.may",
    f"callers: {{shop: {{token: {CANARY}, sees: everything}}}}": "callers.shop.sees",
    f"callers: {{shop: {{token: {CANARY}, templates: []}}}}": "callers.shop.templates",
    f"callers: {{shop: {{token: {CANARY}, requests_per_minute: 0}}}}": "requests_per_minute",
    f"callers: {{shop: {{token: {CANARY}, requests_per_minute: '6'}}}}": "requests_per_minute",
    f"callers: {{shop: {{token: {CANARY}, sea: all}}}}": "callers.shop.sea",
    f"callers: {{'shop floor': {{token: {CANARY}}}}}": "callers.shop floor",
    f"callers: {{1: {{token: {CANARY}}}}}": "callers.1",
    f"callers: {{a: {{token: {CANARY}}}, b: {{token: {CANARY}}}}}": "the same token as callers.a",
    f"callers: {{a: {{token: {CANARY}}}, a: {{token: {ONE}}}}}": "a key twice (line 1)",
    "callers: {shop: {token: 'canary": "not valid YAML",
    "callers: &a {shop: *a}": "GATEWAY_CALLERS_FILE",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_file_is_refused_in_one_line_without_tokens(tmp_path: Path, text: str) -> None:
    file = tmp_path / "callers.yaml"
    file.write_text(text)
    settings = GatewaySettings.load({"GATEWAY_CALLERS_FILE": str(file)})
    with pytest.raises(SettingsError) as wrong:
        Tokens.from_settings(settings)
    message = str(wrong.value)
    assert message.startswith("GATEWAY_CALLERS_FILE")
    assert WRONG[text] in message
    assert "canary" not in message
    assert sha(CANARY)[:20] not in message
    assert "\n" not in message


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="GATEWAY_CALLERS_FILE cannot be read"):
        Tokens({}, None, tmp_path / "none")


def test_the_tokens_of_a_broken_file_are_valid_for_ten_minutes_and_then_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    file = tmp_path / "callers.yaml"
    file.write_text(yaml.safe_dump({"callers": {"shop": {"token": ONE, "may": ["read"]}}}))
    tokens = Tokens({"shop": TWO, "crm": "the-token-of-crm"}, None, file)
    limited = Caller("shop", may=frozenset({"read"}))
    assert tokens.callers_file is not None
    file.write_text(f"callers: {{shop: {{token: {CANARY}, sees: everything}}}}")
    for _ in range(120):
        tokens.callers_file.read()
        assert found(tokens, ONE) == limited
        now += 5
    assert len(caplog.records) == 10
    assert "GATEWAY_CALLERS_FILE: callers.shop.sees" in caplog.text
    now += 1
    assert found(tokens, ONE) is None
    # What the file took from a caller does not come back with the loss of the file.
    assert found(tokens, TWO) == limited
    assert found(tokens, "the-token-of-crm") == Caller("crm")
    file.write_text(yaml.safe_dump({"callers": {"crm": {"token": ONE}}}))
    tokens.callers_file.read()
    assert found(tokens, ONE) == Caller("crm")
    assert found(tokens, CANARY) is None
