"""From pydantic's errors to problems that a caller can act on: by JSON path, without values."""

from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from send_whatsapp.contract.errors import FieldProblem

_CUSTOM = "contract"

TIME_EXAMPLE = "ISO 8601 with a time zone, for example 2027-01-31T09:00:00Z"


def refusal(problem: str, expected: str, field: str | None = None) -> PydanticCustomError:
    """Return the error of a validator; `field` names a field below the validated value."""
    context = {"problem": problem, "expected": expected} | ({"field": field} if field else {})
    return PydanticCustomError(_CUSTOM, "{problem}", context)


def problems(error: ValidationError) -> list[FieldProblem]:
    """Return the problems of a request, one per field."""
    found: dict[str, FieldProblem] = {}
    for item in error.errors(include_url=False):
        context = item.get("ctx", {})
        path = [*item["loc"], *([context["field"]] if "field" in context else [])]
        field = ".".join(_printable(str(part)) for part in path)[:100] or "request"
        problem, expected = _explain(item["type"], context, item["input"])
        found.setdefault(field, FieldProblem(field=field, problem=problem, expected=expected))
    return list(found.values())


def _printable(part: str) -> str:
    return part if part.isprintable() else "?"


def _explain(type_: str, context: dict[str, Any], value: Any) -> tuple[str, str]:
    """Return what is wrong and what is expected, with the limit but without the value."""
    if type_ == _CUSTOM:
        return context["problem"], context["expected"]
    match type_:
        case "string_too_short" | "too_short":
            problem = f"has {_count(value)}" if value else "is empty"
            return problem, f"at least {_count(value, context['min_length'])}"
        case "string_too_long" | "too_long":
            limit = _count(value, context["max_length"])
            return "is too long", f"at most {limit}, got {len(value)}"
        case "greater_than_equal":
            return "is too small", f"at least {context['ge']}"
        case "less_than_equal":
            return "is too large", f"at most {context['le']}"
        case "literal_error":
            return "has an unknown value", context["expected"]
        case "datetime_parsing" | "datetime_from_date_parsing" | "datetime_object_invalid":
            return f"is not a time ({context['error']})", TIME_EXAMPLE
    return _EXPLANATIONS.get(type_, ("is not valid", "a value as docs/request.md describes it"))


def _count(value: Any, number: int | None = None) -> str:
    """Return the length of a text or list with its unit, or `number` with that unit."""
    number = len(value) if number is None else number
    unit, units = ("character", "characters") if isinstance(value, str) else ("entry", "entries")
    return f"{number} {unit if number == 1 else units}"


_EXPLANATIONS = {
    "missing": ("is missing", "a value"),
    "extra_forbidden": ("is not a known field", "one of the documented fields"),
    "string_type": ("is not text", "text"),
    "string_unicode": ("is not valid Unicode", "valid Unicode text"),
    "string_pattern_mismatch": ("contains only white space", "text"),
    "int_type": ("is not a whole number", "a whole number"),
    "int_from_float": ("is not a whole number", "a whole number"),
    "int_parsing_size": ("is too large", "a smaller number"),
    "bool_type": ("is not true or false", "true or false"),
    "list_type": ("is not a list", "a list in [ ]"),
    "dict_type": ("is not an object", "an object of names and values"),
    "model_type": ("is not an object", "one JSON object"),
    "model_attributes_type": ("is not an object", "one JSON object"),
    "json_invalid": ("is not valid JSON", "valid JSON"),
    "timezone_aware": ("has no time zone", TIME_EXAMPLE),
}
