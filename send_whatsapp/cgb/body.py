"""Reads the JSON body of a response, within limits of size and depth."""

import json
import zlib
from collections.abc import Mapping
from typing import Any, NoReturn

MAX_BODY = 4 * 1024 * 1024
"""Largest body that is read, in bytes, before and after decompression."""


def read_json(headers: Mapping[str, str], body: bytes) -> Any:
    """Return the JSON of a body (RFC 8259: UTF-8). Raises ValueError if it is not JSON."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("gzip", "x-gzip", "deflate"):
        # Our requests ask for no compression, but a server may compress anyway.
        try:
            body = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body, MAX_BODY + 1)
        except zlib.error:
            raise ValueError("not compressed with this encoding") from None
    if len(body) > MAX_BODY:
        raise ValueError("larger than the limit")
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python reads but JSON does not have."""
    raise ValueError(f"{name} is not JSON")
