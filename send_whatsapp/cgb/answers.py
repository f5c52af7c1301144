"""What an answer means: pure functions from status, headers and body to a value or a CGBError.

Source of every rule: the provider's API page, "Calls" and "What a failure looks like".
"""

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

from send_whatsapp.cgb.errors import (
    CGBError,
    NotUnderstood,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
)

MAX_BODY = 4 * 1024 * 1024
"""Bytes of an answer that are read, before and after decompression."""

MAX_RETRY_AFTER = 300.0

_ID = re.compile(r"[A-Za-z0-9_@+=:-][A-Za-z0-9_.@+=:-]{0,127}", re.ASCII)


@dataclass(frozen=True)
class Answer:
    """An answer as it came; `call` says in words what was asked."""

    call: str
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Flow:
    """One flow of the account; the id is opaque, though the provider makes it a number."""

    id: str
    name: str


@dataclass(frozen=True)
class Account:
    """Whose key it is."""

    id: str | None
    name: str | None


def found_contact(answer: Answer) -> str | None:
    """Return the id of the contact that was found, newest first, or None where there is none.

    Raises CGBError for a refusal, an outage or an answer that cannot be understood.
    """
    try:
        body = _object(answer, _json(answer))
    except Rejected as error:
        if error.status == 404:
            return None
        raise
    if "found" in body or "contact" in body:
        if body.get("contact") is None and not body.get("found"):
            return None
        return _contact_id(answer, body.get("contact"))
    contacts = body.get("data")
    if contacts is None or contacts == []:
        return None
    return _contact_id(answer, contacts[0] if isinstance(contacts, list) else None)


def created_contact(answer: Answer) -> str:
    """Return the id of a created (or already known) contact. Raises CGBError."""
    body = _object(answer, _json(answer))
    holder = next((body[key] for key in ("data", "contact") if body.get(key) is not None), body)
    return _contact_id(answer, holder)


def account(answer: Answer) -> Account:
    """Return whose key was used. Raises CGBError."""
    body = _object(answer, _json(answer))
    name = body.get("name")
    return Account(_id(body.get("page_id")), name if isinstance(name, str) else None)


def flows(answer: Answer) -> list[Flow]:
    """Return the account's flows. Raises CGBError; an entry without id and name spoils the list."""
    entries = _json(answer)
    if not isinstance(entries, list):
        _object(answer, entries)
        _not_understood(answer, "which holds no list of flows")
    found = []
    for entry in entries:
        flow_id = _id(entry.get("id")) if isinstance(entry, dict) else None
        if flow_id is None or not isinstance(entry.get("name"), str):
            _not_understood(answer, "with a flow that lacks an id or a name")
        found.append(Flow(flow_id, entry["name"]))
    return found


def sent(answer: Answer) -> str | None:
    """Return the message id where the provider gave one; returning at all means accepted.

    Raises CGBError, with `unsent` False where the message may have gone out all the same.
    """
    body = _object(answer, _json(answer))
    data = body.get("data")
    holders = [body, data] if isinstance(data, dict) else [body]
    return next((m for h in holders if (m := _message_id(h.get("message_id")))), None)


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds of `Retry-After` (a number or an HTTP date), 0 to 300, or None."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[+-]?\d{1,300}(\.\d{0,300})?", value, re.ASCII):
        seconds = float(value)
    else:
        try:
            date = parsedate_to_datetime(value)
            # A date in a zone of "-0000" comes without one, and means UTC.
            date = date if date.tzinfo else date.replace(tzinfo=UTC)
            seconds = (date - (now or datetime.now(UTC))).total_seconds()
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _json(answer: Answer) -> Any:
    """Return the JSON of a 2xx answer; raise what any other status means."""
    if not 200 <= answer.status <= 299:
        _raise_for(answer, answer.status, _words(_lenient(answer)), f"HTTP {answer.status}")
    try:
        return _decoded(answer)
    except ValueError:
        _not_understood(answer, "whose body is no JSON")


def _object(answer: Answer, body: Any) -> dict[str, Any]:
    """Return the body of a success; raise what a refusal inside a 2xx means."""
    if not isinstance(body, dict):
        _not_understood(answer, "whose body is no JSON object")
    error = body.get("error")
    if error not in (None, False, ""):
        code = _code(error.get("code")) if isinstance(error, dict) else None
        detail = f"HTTP {answer.status} with an error inside" + (f" (code {code})" if code else "")
        _raise_for(answer, code or 400, _words(body), detail)
    if body.get("success", True) is not True:
        _raise_for(answer, 400, _words(body), f"HTTP {answer.status} without success")
    return body


def _raise_for(answer: Answer, status: int, provider_message: str | None, detail: str) -> NoReturn:
    wait = retry_after(answer.headers)
    kind: type[CGBError]
    if status in (401, 403):
        kind, unsent = Unauthorized, True
    elif status in (425, 429):
        kind, unsent = RateLimited, True
    elif status == 408 or 500 <= status <= 599:
        kind, unsent = Unavailable, False
    elif 400 <= status <= 499:
        kind, unsent = Rejected, True
    else:
        kind, unsent = NotUnderstood, False
    raise kind(answer.call, detail, unsent, provider_message, status, wait)


def _not_understood(answer: Answer, why: str) -> NoReturn:
    detail = f"HTTP {answer.status} {why}"
    raise NotUnderstood(answer.call, detail, unsent=False, status=answer.status)


def _decoded(answer: Answer) -> Any:
    """Return the body's JSON (RFC 8259: UTF-8); raise ValueError for whatever is none."""
    body = answer.body
    encoding = answer.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("gzip", "x-gzip", "deflate"):
        # We ask for no compression; whoever compresses all the same gets no bomb past the limit.
        try:
            body = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body, MAX_BODY + 1)
        except zlib.error:
            raise ValueError("not compressed as it says") from None
    if len(body) > MAX_BODY:
        raise ValueError("larger than the limit")
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _lenient(answer: Answer) -> Any:
    try:
        return _decoded(answer)
    except ValueError:
        return None


def _words(body: Any) -> str | None:
    """Return what the provider says about a refusal, in whichever shape it says it."""
    if not isinstance(body, dict):
        return None
    error = body.get("error")
    candidates = [error.get("message") if isinstance(error, dict) else error, body.get("message")]
    return next((c for c in candidates if isinstance(c, str) and c.strip()), None)


def _code(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[1-5]\d\d", value, re.ASCII):
        value = int(value)
    is_error = isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599
    return value if is_error else None


def _contact_id(answer: Answer, contact: Any) -> str:
    contact_id = _id(contact.get("id")) if isinstance(contact, dict) else None
    if contact_id is None:
        _not_understood(answer, "with a contact that has no usable id")
    return contact_id


def _id(value: Any) -> str | None:
    """Return an id as text; None unless it is a positive number or text fit for a URL path."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        # More digits than any id has; Python refuses to print numbers of 4,301 digits and more.
        return str(value) if value < 10**128 else None
    return value if isinstance(value, str) and _ID.fullmatch(value) and value != "0" else None


def _message_id(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**128 else None
    return (
        value if isinstance(value, str) and 0 < len(value) <= 256 and value.isprintable() else None
    )
