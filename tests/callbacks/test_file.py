"""The file of callbacks: what it may say, and what stops the worker in one line."""

from pathlib import Path

import pytest
import yaml

from send_whatsapp.callbacks.file import ALL_EVENTS, load_callbacks
from send_whatsapp.settings import SettingsError
from tests.conftest import ROOT
from tools.callback_receiver import SECRET

URL = "https://shop.example.com/hook?a=b"


def load(folder: Path, text: str, *, secret: str = SECRET, allow_private: bool = False) -> object:
    (folder / "secret").write_text(secret)
    file = folder / "callbacks.yaml"
    file.write_text(text)
    return load_callbacks(str(file), allow_private=allow_private)


def entry(**fields: object) -> str:
    given = {"url": URL, "secret_file": "secret"} | fields
    return yaml.safe_dump({"callbacks": {"shop": given}})


def test_without_a_file_there_are_no_callbacks() -> None:
    assert load_callbacks(None, allow_private=False) == {}


def test_the_example_is_right(tmp_path: Path) -> None:
    for name in ("shop", "support"):
        (tmp_path / f"{name}.secret").write_text(SECRET)
    file = tmp_path / "callbacks.yaml"
    file.write_text((ROOT / "examples" / "callbacks.yaml").read_text())
    callbacks = load_callbacks(str(file), allow_private=False)
    assert callbacks["shop"].events == ALL_EVENTS
    assert callbacks["support"].events == {"failed", "unknown"}
    assert callbacks["shop"].url == "https://shop.example.com/whatsapp-events"


@pytest.mark.parametrize("secret", [SECRET, f"{SECRET}\n", SECRET.removeprefix("whsec_")])
def test_a_secret_may_have_its_prefix_and_a_line_end(tmp_path: Path, secret: str) -> None:
    assert load(tmp_path, entry(), secret=secret)


def test_a_secret_file_is_found_beside_the_file_or_anywhere(tmp_path: Path) -> None:
    assert load(tmp_path, entry(secret_file=str(tmp_path / "secret")))


@pytest.mark.parametrize(
    "url",
    ["http://shop.example.com/", "https://localhost/", "https://10.1.2.3/", "http://[::1]:8080/x"],
)
def test_private_urls_need_a_setting(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match="CALLBACKS_ALLOW_PRIVATE=true"):
        load(tmp_path, entry(url=url))
    assert load(tmp_path, entry(url=url), allow_private=True)


WRONG = {
    "": "the file",
    "callbacks:": "callbacks",
    "callbacks: [shop]": "callbacks",
    "callback: {}": "callback",
    "callbacks: {shop: {}}": "callbacks.shop.url",
    "callbacks: {'shop floor': {}}": "callbacks.shop floor",
    "callbacks: {shop: {}, shop: {}}": "a key twice (line 1)",
    "callbacks: {shop: 'canary": "not valid YAML",
    "callbacks: 2027-99-99": "not valid YAML",
    entry(secrets="x"): "callbacks.shop.secrets",
    entry(events=[]): "callbacks.shop.events",
    entry(events=["read"]): "callbacks.shop.events",
    entry(events="failed"): "callbacks.shop.events",
    entry(secret_file="none"): "callbacks.shop.secret_file cannot be read",
    entry(url=7): "callbacks.shop.url",
    entry(url="shop.example.com"): "callbacks.shop.url: must be an https URL",
    entry(url="https://"): "callbacks.shop.url: must be an https URL",
    entry(url="ftp://shop.example.com/"): "callbacks.shop.url: must be an https URL",
    entry(url="https://shop.example.com/a b"): "callbacks.shop.url: must be an https URL",
    entry(url="https://shöp.example.com/"): "callbacks.shop.url: must be an https URL",
    entry(url="https://shop.example.com:0/"): "callbacks.shop.url: must be an https URL",
    entry(url="https://shop.example.com:x/"): "callbacks.shop.url: must be an https URL",
    entry(url="https://[::1/"): "callbacks.shop.url: must be an https URL",
    entry(url=f"{URL}{'x' * 2048}"): "callbacks.shop.url: must be an https URL",
    entry(url="https://canary:canary@shop.example.com/"): "must not contain credentials",
    entry(url=f"{URL}#canary"): "must not contain credentials or a fragment",
}


@pytest.mark.parametrize("text", WRONG)
@pytest.mark.parametrize("allow_private", [True, False])
def test_a_wrong_file_is_refused_in_one_line_without_secrets(
    tmp_path: Path, text: str, allow_private: bool
) -> None:
    with pytest.raises(SettingsError) as wrong:
        load(tmp_path, text, allow_private=allow_private)
    message = str(wrong.value)
    assert message.startswith("CALLBACKS_FILE")
    assert WRONG[text] in message
    assert "canary" not in message
    assert "\n" not in message
    assert "example CALLBACKS_FILE=examples/callbacks.yaml" in message


@pytest.mark.parametrize(
    "secret", ["", "\n", "whsec_", "canary!", "whsec_c2hvcnQ=", f"{SECRET}\ncanary", "ü" * 40]
)
def test_a_wrong_secret_is_refused_without_showing_it(tmp_path: Path, secret: str) -> None:
    with pytest.raises(SettingsError) as wrong:
        load(tmp_path, entry(), secret=secret)
    assert "callbacks.shop.secret_file" in str(wrong.value)
    assert "canary" not in str(wrong.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="CALLBACKS_FILE cannot be read"):
        load_callbacks(str(tmp_path / "none"), allow_private=False)
