"""Mappings of webhooks: what the examples send, errors in a body, one-line errors in a file."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from send_whatsapp.gateway.webhooks import InvalidWebhookBody, dry_run, load_webhooks
from send_whatsapp.settings import SettingsError
from tests.gateway.conftest import WEBHOOK_EXAMPLES, WEBHOOK_SECRETS, WEBHOOKS_FILE


@pytest.mark.parametrize(
    ("name", "key", "request_"),
    [
        (
            "shop",
            "4711",
            {
                "to": "+1234567890",
                "template": "order_paid",
                "variables": {
                    "name": "John Doe",
                    "total": 99.5,
                    "fallback_message": "Your order is paid, thank you!",
                },
                "delivery": "at_least_once",
            },
        ),
        (
            "visa",
            "A-17-approved",
            {
                "to": "(123) 456-7890",
                "message": "Your application A-17 is now approved",
                "delivery": "at_most_once",
            },
        ),
        (
            "crm",
            "note-81",
            {
                "to": "+1234567891",
                "fileUrl": "https://example.com/visa.pdf",
                "fileType": "document",
                "delivery": "at_least_once",
                "sendAt": "2027-01-31T09:00:00+01:00",
            },
        ),
    ],
)
def test_each_example_shows_what_it_would_send(
    name: str, key: str, request_: dict[str, Any]
) -> None:
    made = dry_run(WEBHOOKS_FILE, name, (WEBHOOK_EXAMPLES / f"{name}.json").read_bytes())
    id_ = f"webhook:{name}:{key}"
    request_ = {"inOrder": False, "ignoreOptOut": False} | request_
    assert made == {"sends": True, "key": key, "id": id_, "request": request_}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"[]", "key"),
        (b'{"id": null}', "key"),
        (b'{"id": true}', "key"),
        (b'{"id": ["canary"]}', "key"),
        (b'{"id": ""}', "key"),
        ('{"id": "\u00e9"}'.encode(), "key"),
        (b'{"id": "' + b"x" * 201 + b'"}', "key"),
        (b'{"id": 1, "message": "x"}', "to"),
        (b'{"id": 1, "to": "+1", "message": 5}', "message"),
        (b'{"id": 1, "to": "+1", "message": "x", "n": "canary"}', "variables"),
        (b"canary", "body"),
    ],
)
def test_an_error_in_a_body_names_the_field_and_not_its_value(
    tmp_path: Path, body: bytes, field: str
) -> None:
    file = tmp_path / "w.yaml"
    request = "{to: to, message: message, variables: 'n && sum(n)'}"
    file.write_text(f"webhooks: {{w: {{key: id, request: {request}}}}}")
    with pytest.raises(InvalidWebhookBody) as wrong:
        dry_run(file, "w", body)
    assert field in {problem.field for problem in wrong.value.problems}
    assert "canary" not in str(wrong.value)


WINDOW = "{from: start, to: end, zone: zone}"


@pytest.mark.parametrize(
    ("expression", "body", "window"),
    [
        ("{from: '09:00', to: '20:00'}", {}, ("09:00", "20:00", "recipient")),
        (WINDOW, {"start": "09:00", "end": "20:00", "zone": "UTC"}, ("09:00", "20:00", "UTC")),
        (
            WINDOW,
            {"start": "09:00", "end": "20:00", "zone": " "},
            ("09:00", "20:00", "recipient"),
        ),
        (WINDOW, {"start": "", "end": None}, None),
        (WINDOW, {}, None),
        ("window", {}, None),
    ],
)
def test_a_webhook_may_set_the_send_window(
    tmp_path: Path, expression: str, body: dict[str, Any], window: tuple[str, ...] | None
) -> None:
    file = tmp_path / "w.yaml"
    request = f'{{to: to, message: message, sendWindow: "{expression}"}}'
    file.write_text(f"webhooks: {{w: {{key: id, request: {request}}}}}")
    fields = {"id": 1, "to": "+1234567890", "message": "x"} | body
    made = dry_run(file, "w", json.dumps(fields).encode())["request"].get("sendWindow")
    assert made == (
        None if window is None else dict(zip(("from", "to", "zone"), window, strict=True))
    )


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"start": "09:00"}, "sendWindow.to"),
        ({"start": "9:00", "end": "20:00"}, "sendWindow.from"),
        ({"start": "09:00", "end": "09:00"}, "sendWindow.to"),
        ({"start": "09:00", "end": "20:00", "zone": "Mars/Phobos"}, "sendWindow.zone"),
    ],
)
def test_a_wrong_send_window_in_a_body_is_refused(
    tmp_path: Path, body: dict[str, Any], field: str
) -> None:
    file = tmp_path / "w.yaml"
    request = f'{{to: to, message: message, sendWindow: "{WINDOW}"}}'
    file.write_text(f"webhooks: {{w: {{key: id, request: {request}}}}}")
    fields = {"id": 1, "to": "+1234567890", "message": "x"} | body
    with pytest.raises(InvalidWebhookBody) as wrong:
        dry_run(file, "w", json.dumps(fields).encode())
    assert [problem.field for problem in wrong.value.problems] == [field]


GOOD = "webhooks: {w: {key: id, request: {to: to, message: text}}}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (": :", "not valid YAML"),
        ("[]", "the file"),
        ("webhooks: {W!: {key: id, request: {to: to}}}", "webhooks.W!"),
        (GOOD.replace("key: id, ", ""), "webhooks.w.key: field required"),
        (GOOD.replace("key: id", "key: 'a['"), "webhooks.w.key: is not a valid JMESPath"),
        (GOOD.replace("to: to, ", ""), "must contain an expression for `to`"),
        (GOOD.replace("message:", "text:"), "contains text, which is not a field"),
        (GOOD.replace("message: text", "message: 'a b'"), "webhooks.w.request.message"),
        (GOOD.replace("key: id", "key: id, more: 1"), "webhooks.w.more"),
        (GOOD.replace("key: id", "key: id, signature: {header: X}"), "signature.secret"),
        (
            GOOD.replace("key: id", "key: id, signature: {header: X, secret: NOT_SET}"),
            "NOT_SET is not set, but the webhook w",
        ),
        (
            GOOD.replace(
                "key: id",
                "key: id, signature: {header: X, secret: S, timestamp: {header: T, signed: b}}",
            ),
            "signed: must contain {timestamp} and then {body}",
        ),
    ],
)
def test_an_error_in_the_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "webhooks.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=re.escape(message)) as wrong:
        load_webhooks(file, {"S": "s"})
    assert "\n" not in str(wrong.value)


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_webhooks(Path("no-such-file"), {})


def test_repr_hides_the_secrets() -> None:
    assert "shop secret" not in repr(load_webhooks(WEBHOOKS_FILE, WEBHOOK_SECRETS))


def test_the_command_line_shows_the_example() -> None:
    command = [str(Path(sys.executable).with_name("send-whatsapp")), "webhook", str(WEBHOOKS_FILE)]
    sample = ["--sample", str(WEBHOOK_EXAMPLES / "shop.json")]
    shown = subprocess.run([*command, "shop", *sample], capture_output=True, text=True)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert json.loads(shown.stdout)["id"] == "webhook:shop:4711"
    for arguments in (["nobody", *sample], ["visa", *sample]):
        refused = subprocess.run([*command, *arguments], capture_output=True, text=True)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert len(refused.stderr.splitlines()) == 1
