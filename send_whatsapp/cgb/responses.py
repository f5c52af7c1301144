"""What a response of the provider means: pure functions from a response to a value or a CGBError.

The rules come from docs/provider-api.md.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

from send_whatsapp.cgb.body import read_json
from send_whatsapp.cgb.errors import (
    CGBError,
    NotUnderstood,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
)

MAX_RETRY_AFTER_S = 300.0

_TRUE = (True, 1, "true", "1")
_FALSE = (False, 0, "false", "0")
_BAD_STATUS = re.compile(
    r"err|fail|refus|reject|den(y|ied)|invalid|forbid|unauth|block|expire|cancel|abort|time.?out"
    r"|bounce|drop|undeliver|not.?(sent|delivered|ok)|^(nok|ko|no|false|0|[45]\d\d)$",
    re.IGNORECASE,
)
_ID = re.compile(r"[A-Za-z0-9_@+=:-][A-Za-z0-9_.@+=:-]{0,127}", re.ASCII)


@dataclass(frozen=True)
class Response:
    """The response to a call; `call` describes the call, for example "send the text"."""

    call: str
    status: int
    headers: Mapping[str, str]
    body: bytes


def sent(response: Response) -> str | None:
    """Return the message id of an accepted send, or None if the provider gives none.

    Raises CGBError if the send was not accepted; `unsent` is False if it may have been sent.
    """
    body = json_object(response, json_value(response))
    if _reports_failure(body):
        not_understood(response, "that does not say clearly whether the message was accepted")
    data = body.get("data")
    holders = [body, data] if isinstance(data, dict) else [body]
    return next((m for h in holders if (m := _message_id(h.get("message_id")))), None)


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds of `Retry-After` (a number or an HTTP date) from 0 to 300, or None."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[+-]?\d{1,300}(\.\d{0,300})?", value, re.ASCII):
        seconds = float(value)
    else:
        try:
            date = parsedate_to_datetime(value)
            # The parser returns no zone for "-0000", which means UTC.
            date = date if date.tzinfo else date.replace(tzinfo=UTC)
            seconds = (date - (now or datetime.now(UTC))).total_seconds()
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def json_value(response: Response) -> Any:
    """Return the JSON of a 2xx response; raise the error that any other status means."""
    if not 200 <= response.status <= 299:
        _raise_for(
            response,
            response.status,
            _provider_message(_json_or_none(response)),
            f"HTTP {response.status}",
        )
    try:
        return read_json(response.headers, response.body)
    except ValueError:
        not_understood(response, "whose body is not JSON")


def json_object(response: Response, body: Any) -> dict[str, Any]:
    """Return the body of a successful call; raise the error that a body can mean despite a 2xx.

    A refusal inside a 2xx has `success` false, or a filled `error` without `success`. Whatever is
    contradictory or unknown proves neither success nor refusal (docs/provider-api.md, "What an
    answer means").
    """
    if not isinstance(body, dict):
        not_understood(response, "whose body is not a JSON object")
    error, success = body.get("error"), body.get("success")
    if "success" in body and not _is_one_of(success, _TRUE + _FALSE):
        not_understood(response, "with an unknown value of `success`")
    if "success" not in body and isinstance(error, int | float) and not isinstance(error, bool):
        not_understood(response, "with a number as `error`")
    if _is_one_of(success, _FALSE) or ("success" not in body and not _is_empty(error)):
        code = _code(error.get("code")) if isinstance(error, dict) else None
        detail = f"HTTP {response.status} with a refusal in the body"
        detail += f" (code {code})" if code else ""
        _raise_for(response, code or 400, _provider_message(body), detail)
    if not _is_empty(error):
        not_understood(response, "that reports success and an error")
    return body


def _is_one_of(value: Any, values: tuple[Any, ...]) -> bool:
    # Python takes True and 1, and 1.0, for equal.
    return any(type(value) is type(other) and value == other for other in values)


def _is_empty(value: Any) -> bool:
    return value is None or value is False or value in ("", [], {})


def _reports_failure(body: dict[str, Any]) -> bool:
    """Return whether fields beside `success` and `error` say that a send failed."""
    status = body.get("status")
    if isinstance(status, bool):
        bad_status = not status
    elif isinstance(status, int | float):
        bad_status = status >= 400
    else:
        bad_status = isinstance(status, str) and bool(_BAD_STATUS.search(status))
    not_ok = "ok" in body and not _is_one_of(body["ok"], _TRUE)
    return bad_status or not_ok or not _is_empty(body.get("errors"))


def _raise_for(
    response: Response, status: int, provider_message: str | None, detail: str
) -> NoReturn:
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
    raise kind(
        response.call,
        detail,
        unsent,
        provider_message=provider_message,
        status=status,
        retry_after=retry_after(response.headers),
    )


def not_understood(response: Response, reason: str) -> NoReturn:
    """Raise the error of a response that cannot be understood."""
    detail = f"HTTP {response.status} {reason}"
    raise NotUnderstood(response.call, detail, unsent=False, status=response.status)


def _json_or_none(response: Response) -> Any:
    try:
        return read_json(response.headers, response.body)
    except ValueError:
        return None


def _provider_message(body: Any) -> str | None:
    """Return the provider's own message about a refusal, from the fields that may hold it."""
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


def valid_id(value: Any) -> str | None:
    """Return an id as text, or None if it is not a positive number or safe text in a URL path."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        # Python raises an error for the text of a number with more than 4,300 digits.
        return str(value) if value < 10**128 else None
    return value if isinstance(value, str) and _ID.fullmatch(value) and value != "0" else None


def _message_id(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**128 else None
    return (
        value if isinstance(value, str) and 0 < len(value) <= 256 and value.isprintable() else None
    )
