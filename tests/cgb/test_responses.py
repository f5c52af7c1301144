"""What a response means, from the recorded responses in `responses/`."""

import contextlib
import json
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from send_whatsapp.cgb import account_responses, contact_responses, responses
from send_whatsapp.cgb.account_responses import Flow
from send_whatsapp.cgb.contact_responses import Contact
from send_whatsapp.cgb.errors import CGBError
from send_whatsapp.cgb.responses import Response

FOLDER = Path(__file__).parent / "responses"
MEANINGS = {
    "find": contact_responses.found_contact,
    "create": contact_responses.created_contact,
    "account": account_responses.account,
    "flows": account_responses.flows,
    "send": responses.sent,
}
CASES = [
    pytest.param(path.stem, case, id=f"{path.stem}: {case['name']}")
    for path in sorted(FOLDER.glob("*.json"))
    for case in json.loads(path.read_text())
]


def body_of(case: dict[str, Any]) -> bytes:
    if "text" in case:
        return str(case["text"]).encode(case.get("charset", "utf-8"))
    return json.dumps(case["json"]).encode()


@pytest.mark.parametrize(("call", "case"), CASES)
def test_a_response_means(call: str, case: dict[str, Any]) -> None:
    response = Response("call", case.get("status", 200), case.get("headers", {}), body_of(case))
    if "error" in case:
        with pytest.raises(CGBError) as raised:
            MEANINGS[call](response)
        error = raised.value
        assert type(error).__name__ == case["error"]
        assert error.unsent is case["unsent"]
        assert error.provider_message == case.get("provider_message")
        assert error.retry_after == case.get("retry_after")
        assert (case.get("provider_message") or "\x00") not in str(error)
    else:
        found = MEANINGS[call](response)
        if call == "flows":
            assert found == [Flow(*entry) for entry in case["value"]]
        elif call == "account":
            assert found is not None
        elif isinstance(found, Contact):
            assert found.id == case["value"]
        else:
            assert found == case["value"]


@pytest.mark.parametrize("status", [200, 201, 204, 299])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"ok"',
        b"<html>",
        b'{"success": tr',
        b"\xff\xfe{\x00}\x00",
        b"[" * 9999,
    ],
)
def test_a_2xx_without_a_json_object_does_not_prove_what_became_of_a_send(
    status: int, body: bytes
) -> None:
    with pytest.raises(CGBError) as raised:
        responses.sent(Response("send", status, {}, body))
    assert type(raised.value).__name__ == "NotUnderstood"
    assert raised.value.unsent is False


@pytest.mark.parametrize(
    ("status", "error", "unsent"),
    [
        (100, "NotUnderstood", False),
        (101, "NotUnderstood", False),
        (301, "NotUnderstood", False),
        (304, "NotUnderstood", False),
        (400, "Rejected", True),
        (401, "Unauthorized", True),
        (403, "Unauthorized", True),
        (404, "Rejected", True),
        (408, "Unavailable", False),
        (409, "Rejected", True),
        (411, "Rejected", True),
        (425, "RateLimited", True),
        (429, "RateLimited", True),
        (451, "Rejected", True),
        (499, "Rejected", True),
        (500, "Unavailable", False),
        (503, "Unavailable", False),
        (599, "Unavailable", False),
        (600, "NotUnderstood", False),
        (999, "NotUnderstood", False),
    ],
)
def test_an_error_code_in_the_body_means_the_same_as_the_status(
    status: int, error: str, unsent: bool
) -> None:
    by_status = Response("send", status, {}, b"")
    with pytest.raises(CGBError) as raised:
        responses.sent(by_status)
    assert (type(raised.value).__name__, raised.value.unsent) == (error, unsent)
    if 400 <= status <= 599:
        by_code = Response("send", 200, {}, b'{"error": {"code": %d}}' % status)
        with pytest.raises(CGBError) as raised:
            responses.sent(by_code)
        assert (type(raised.value).__name__, raised.value.unsent) == (error, unsent)


NOW = datetime(2026, 11, 24, 8, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("301", 300.0),
        ("9" * 200, 300.0),
        ("Tue, 24 Nov 2026 08:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 08:00:30 -0000", 30.0),
        ("Tue, 24 Nov 2026 07:00:00 GMT", 0.0),
        ("Tue, 24 Nov 2037 07:00:00 GMT", 300.0),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("inf", None),
        ("1e3", None),
        ("٣", None),
    ],
)
def test_retry_after_is_read_and_clamped(value: str, seconds: float | None) -> None:
    assert responses.retry_after({"retry-after": value}, NOW) == seconds
    assert responses.retry_after({}, NOW) is None


def test_a_compression_bomb_is_not_unpacked() -> None:
    compressor = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    bomb = compressor.compress(b" " * 100_000_000) + compressor.flush()
    with pytest.raises(CGBError) as raised:
        responses.sent(Response("send", 200, {"content-encoding": "gzip"}, bomb))
    assert raised.value.unsent is False


def test_a_compressed_response_is_read() -> None:
    compressor = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    body = compressor.compress(b'{"success": true}') + compressor.flush()
    assert responses.sent(Response("send", 200, {"content-encoding": "gzip"}, body)) is None
    with pytest.raises(CGBError):
        responses.sent(Response("send", 200, {"content-encoding": "gzip"}, b"{}"))


@given(st.sampled_from(sorted(MEANINGS)), st.integers(100, 999), st.binary(max_size=200))
def test_any_response_gives_a_value_or_a_cgb_error(call: str, status: int, body: bytes) -> None:
    with contextlib.suppress(CGBError):
        assert MEANINGS[call](Response("call", status, {}, body)) in (None, []) or b"{" in body


@given(
    st.sampled_from(sorted(MEANINGS)),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.sampled_from(["", "x", "../1", "1/2", "401", "429"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "success",
                        "error",
                        "code",
                        "message",
                        "data",
                        "id",
                        "name",
                        "contact",
                        "found",
                        "message_id",
                    ]
                ),
                inner,
            )
        ),
        max_leaves=12,
    ),
)
def test_any_json_gives_a_valid_value_or_a_cgb_error(call: str, body: object) -> None:
    try:
        found = MEANINGS[call](Response("call", 200, {}, json.dumps(body).encode()))
    except CGBError:
        return
    if call in ("find", "create") and isinstance(found, str):
        assert "/" not in found
        assert found not in ("", ".", "..")
