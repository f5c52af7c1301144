"""From pydantic's errors to problems that a caller can act on: by JSON path, without values."""

from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from send_whatsapp.contract.errors import FieldProblem

_CUSTOM = "contract"


def refusal(problem: str, expected: str, field: str | None = None) -> PydanticCustomError:
    """Return the error of a validator; `field` names a field below the validated value."""
    context = {"problem": problem, "expected": expected} | ({"field": field} if field else {})
    return PydanticCustomError(_CUSTOM, "{problem}", context)


def problems(error: ValidationError) -> list[FieldProblem]:
    """Return the problems of a request, one per field."""
    found: dict[str, FieldProblem] = {}
    for item in error.errors(include_input=False, include_url=False):
        context = item.get("ctx", {})
        path = [*item["loc"], *([context["field"]] if "field" in context else [])]
        field = ".".join(_printable(str(part)) for part in path)[:100] or "request"
        problem, expected = _explain(item["type"], context)
        found.setdefault(field, FieldProblem(field=field, problem=problem, expected=expected))
    return list(found.values())


def _printable(part: str) -> str:
    return part if part.isprintable() else "?"


def _explain(type_: str, context: dict[str, Any]) -> tuple[str, str]:
    if type_ == _CUSTOM:
        return context["problem"], context["expected"]
    if type_ in ("string_too_short", "string_too_long"):
        least, most = context.get("min_length"), context.get("max_length")
        return (
            ("is empty", f"at least {least} character")
            if least
            else (
                "is too long",
                f"at most {most:,} characters",
            )
        )
    return _EXPLANATIONS.get(type_, ("is not valid", "a documented value"))


_EXPLANATIONS = {
    "missing": ("is missing", "a value"),
    "extra_forbidden": ("is not a known field", "one of the documented fields"),
    "string_type": ("is not text", "text"),
    "string_unicode": ("is not valid Unicode", "valid Unicode text"),
    "string_pattern_mismatch": ("contains only white space", "text"),
    "dict_type": ("is not an object", "an object of names and values"),
    "model_type": ("is not an object", "one JSON object"),
    "model_attributes_type": ("is not an object", "one JSON object"),
    "json_invalid": ("is not valid JSON", "valid JSON"),
    "literal_error": ("has an unknown value", "one of the documented values"),
    "timezone_aware": ("has no time zone", "a time zone, for example 2027-01-31T09:00:00Z"),
}
