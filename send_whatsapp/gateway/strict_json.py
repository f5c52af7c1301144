"""Strict JSON: UTF-8 (a byte order mark is allowed), no repeated keys, no NaN or Infinity."""

import json
from typing import Any, NoReturn


class InvalidJSON(ValueError):
    """The bytes are not strict JSON."""


def parse_json(body: bytes) -> Any:
    """Return the value that the bytes contain. Raises InvalidJSON."""
    try:
        return json.loads(
            body.decode("utf-8-sig"),
            object_pairs_hook=_without_repeated_keys,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError):
        raise InvalidJSON("must be valid JSON without repeated keys, NaN or Infinity") from None


def _without_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key is repeated")
    return values


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not valid JSON")
