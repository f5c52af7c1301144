"""JSON as the gateway takes it: UTF-8, each key once, finite numbers."""

import json
from typing import Any, NoReturn


class NoJSON(ValueError):
    """The bytes are no JSON, or hold a key twice, NaN or Infinity."""


def parse_json(body: bytes) -> Any:
    """Return the value that the bytes stand for; raises NoJSON."""
    try:
        return json.loads(
            body.decode("utf-8"), object_pairs_hook=_once_each, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        raise NoJSON("is no JSON, or holds a key twice, NaN or Infinity") from None


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
