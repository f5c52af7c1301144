"""The request headers `Idempotency-Key` and `Prefer` (docs/gateway.md)."""

import re

from starlette.datastructures import Headers

from send_whatsapp.gateway import time_limits
from send_whatsapp.gateway.problems import Problem


def idempotency_key(headers: Headers) -> str | None:
    """Return the key, quoted as in the IETF draft or bare; None without the header.

    Raises Problem (400) for a repeated header, an empty key or a malformed quoted string.
    """
    values = headers.getlist("idempotency-key")
    if not values:
        return None
    if len(values) > 1:
        raise Problem(400, "Send one Idempotency-Key, not several")
    key = values[0].strip(" \t")
    if key.startswith('"'):
        quoted = re.fullmatch(r'"((?:[^"\\]|\\["\\])*)"', key)
        if not quoted:
            raise Problem(400, "Idempotency-Key starts with a quote but is not a quoted string")
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    if not key:
        raise Problem(400, "Idempotency-Key must not be empty")
    return key


def preferred_wait_s(headers: Headers) -> float | None:
    """Return N of `Prefer: wait=N` in seconds, at most MAX_WAIT_S; None without it."""
    prefer = ",".join(headers.getlist("prefer"))
    wait = re.search(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,9})", prefer, re.ASCII | re.IGNORECASE)
    return min(float(wait[1]), time_limits.MAX_WAIT_S) if wait else None
