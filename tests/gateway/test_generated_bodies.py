"""Generated bodies on every route that reads one: an answer or a problem, never an internal error.

The bodies are mutations of valid ones and values that come from no list. Nothing is sent: no
worker serves the task queue.
"""

import asyncio
import hashlib
import hmac
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway.conftest import PROBLEM, GatewayProcess, gateway_process
from tools.dev_server import DevServer

SECRET = "the secret of this test"
WEBHOOKS = """
webhooks:
  open:
    key: id
    request: {to: to, message: message, template: template, variables: variables, sendAt: sendAt,
      sendWindow: sendWindow}
  signed:
    signature: {header: X-Signature, secret: TEST_WEBHOOK_SECRET}
    key: id
    request: {to: to, message: message, fileUrl: fileUrl, fileType: fileType}
"""

# Values that programs write and that once broke something.
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(
            None,
            True,
            0,
            -1,
            1.5,
            1e308,
            2**63,
            10**400,
            "",
            " ",
            "\u00a0",
            "\x00",
            "\ufeff",
            "line 1",
        ),
        *("+1234567890", "+1234567890\u00a0", "\t+49 (0)151 23456789\n", "4155552671.0", "4.1E+10"),
        *(
            "2026-01-31",
            "0001-01-01T00:00:00Z",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59Z",
        ),
        *("9999-12-31T23:59:59-14:00", "2027-02-30T09:00:00Z", "2027-01-31T09:00:00+99:99"),
        *("2027-01-31T09:00:60Z", "2027-01-31 09:00:00Z", "2027-01-31T09:00:00.1234567890123Z"),
        *("{name}", "{{", "x" * 5000, "😀" * 3000, "http://[::1", "https://example.com/\u202e"),
        *("e\u0301" * 300, "\u2028", "batch-1", "webhook:x:1", "'; --", "%00", "../..", [], {}),
        *({"from": "09:00", "to": "20:00"}, {"from": "09:00", "to": None, "zone": "\x00"}),
        *({"from": "09:00", "to": "20:00", "zone": "../x"}, {"from": {}, "to": []}),
        *([[]], {"": 1}, {"a": {"b": []}}, {"fallback_message": None}, {"fallback_message": 5}),
    ]
)
JSON = st.recursive(
    ODD | st.text(max_size=20) | st.integers() | st.floats() | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = st.sampled_from(
    [
        *("to", "message", "template", "variables", "fileUrl", "fileType", "delivery", "sendAt"),
        *("sendWindow", "sendWindow.from", "sendWindow.to", "sendWindow.zone", "inOrder"),
        *("expiresAt", "key", "rows", "perMinute", "pauseAfter", "resendUnknown", "send_at", "id"),
    ]
)


def mutated(valid: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return bodies that are valid but for a few fields."""
    changes = st.dictionaries(NAMES | st.text(max_size=5), JSON, max_size=3)
    removed = st.sets(st.sampled_from(sorted(valid)), max_size=1)
    return st.builds(
        lambda changed, gone: {n: v for n, v in (valid | changed).items() if n not in gone},
        changes,
        removed,
    )


MESSAGE = mutated({"to": "+1234567890", "message": "Hello"}) | mutated(
    {"to": "+1234567890", "template": "t", "variables": {"name": "Ana"}}
)
KEYS = r"([!-~]([ -~]{0,18}[!-~])?)?"
"""Values that an HTTP client sends unchanged: they do not begin or end with a space."""

ROW = mutated({"to": "+1234567890", "key": "own"}) | mutated(
    {"to": "+1234567890", "variables": {"name": "Ana"}}
)
BATCH = st.builds(
    lambda body, rows, replaced: body | ({"rows": rows} if replaced else {}),
    mutated({"key": "k", "template": "t", "rows": [{"to": "+1234567890"}]}),
    st.lists(ROW | JSON, max_size=4),
    st.booleans(),
)
WEBHOOK = mutated({"id": "1", "to": "+1234567890", "message": "Hello"})


@pytest.fixture(scope="module")
async def running(
    server: DevServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[GatewayProcess]:
    folder: Path = tmp_path_factory.mktemp("gateway")
    (folder / "webhooks.yaml").write_text(WEBHOOKS)
    async with gateway_process(
        folder,
        TEMPORAL_ADDRESS=server.address,
        TEMPORAL_TASK_QUEUE="nobody",
        TEST_WEBHOOK_SECRET=SECRET,
        GATEWAY_WEBHOOKS_FILE=str(folder / "webhooks.yaml"),
    ) as process:
        yield process


generated = settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def posted(process: GatewayProcess, path: str, content: bytes, **headers: str) -> httpx.Response:
    """Post from this thread, since hypothesis calls a test as a plain function."""
    url = process.http.base_url.join(path)
    headers = {"Content-Type": "application/json"} | headers
    answer = httpx.post(url, content=content, headers=headers, timeout=30, trust_env=False)
    # 503 only because the machine is busy: a request that Temporal refuses is the caller's fault.
    assert answer.status_code < 500 or "does not answer" in answer.json()["title"], content[:2000]
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == PROBLEM
        assert answer.json()["status"] == answer.status_code
        for error in answer.json().get("errors", []):
            assert error.keys() - {"line"} == {"field", "problem", "expected"}
    return answer


def as_bytes(body: Any) -> bytes:
    # NaN, Infinity and half a surrogate pair are left as Python writes them.
    return json.dumps(body).encode()


@given(body=MESSAGE | JSON, key=st.none() | st.from_regex(KEYS, fullmatch=True))
@generated
def test_no_message_is_an_internal_error(
    running: GatewayProcess, body: Any, key: str | None
) -> None:
    headers = {} if key is None else {"Idempotency-Key": key}
    posted(running, "/v1/messages", as_bytes(body), **headers)


@given(body=BATCH | JSON)
@generated
def test_no_batch_is_an_internal_error(running: GatewayProcess, body: Any) -> None:
    if isinstance(body, dict) and body.get("key") == "k":
        body["key"] = str(uuid.uuid4())
    posted(running, "/v1/batches", as_bytes(body))


@given(body=WEBHOOK | JSON)
@generated
def test_no_webhook_is_an_internal_error(running: GatewayProcess, body: Any) -> None:
    content = as_bytes(body)
    posted(running, "/v1/webhooks/open", content)
    signature = hmac.new(SECRET.encode(), content, hashlib.sha256).hexdigest()
    answer = posted(running, "/v1/webhooks/signed", content, **{"X-Signature": signature})
    assert answer.status_code != 401


@given(content=st.binary(max_size=200), path=st.sampled_from(["/v1/messages", "/v1/batches"]))
@generated
def test_no_bytes_are_an_internal_error(running: GatewayProcess, content: bytes, path: str) -> None:
    assert posted(running, path, content).status_code in (400, 422)


CSV_CELL = st.text(max_size=12) | st.sampled_from(['"', '"a', 'a"b"', ",", ";", "\r", "\n", "to"])
CSV_LINES = st.lists(st.lists(CSV_CELL, max_size=4).map(",".join), max_size=5)


@given(lines=st.lists(ROW | JSON, max_size=5), query=st.dictionaries(NAMES, CSV_CELL, max_size=2))
@generated
def test_no_uploaded_json_lines_are_an_internal_error(
    running: GatewayProcess, lines: list[Any], query: dict[str, str]
) -> None:
    content = b"\n".join(as_bytes(line) for line in lines)
    path = f"/v1/batches/{uuid.uuid4()}/rows?{urlencode({'template': 't'} | query)}"
    posted(running, path, content, **{"Content-Type": "application/x-ndjson"})


@given(header=st.sampled_from(["to,name", "to;key;message", "sep=;", "", "name"]), lines=CSV_LINES)
@generated
def test_no_uploaded_csv_is_an_internal_error(
    running: GatewayProcess, header: str, lines: list[str]
) -> None:
    content = "\n".join([header, "+1234567890,Ana", *lines]).encode()
    path = f"/v1/batches/{uuid.uuid4()}/rows?template=t"
    posted(running, path, content, **{"Content-Type": "text/csv"})


async def test_the_log_has_no_internal_error(running: GatewayProcess) -> None:
    log = await asyncio.to_thread(running.log)
    assert "internal error" not in log
    assert "Traceback" not in log
