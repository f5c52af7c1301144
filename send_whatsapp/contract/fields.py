"""The fields of a request: each type with its limits, its check and its JSON Schema."""

import math
import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, WithJsonSchema

from send_whatsapp.contract.file_url import MAX_LENGTH, InvalidFileUrl, check_file_url
from send_whatsapp.contract.validation import TIME_EXAMPLE, refusal

MAX_TEXT = 4096
"""Unicode code points of a text (docs/provider-api.md, "WhatsApp limits")."""

MAX_TEMPLATE_NAME = 200

FALLBACK_VARIABLE = "fallback_message"
"""The variable that holds the fallback text; it is never sent as a template variable."""

_NOT_BLANK = r"\S"
_PRINTABLE = r"^[^\u0000-\u001f\u007f]*[^\u0000-\u0020\u007f][^\u0000-\u001f\u007f]*$"
_ISO_8601 = r"^2[01]\d{2}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?([Zz]|[+-]\d{2}:?\d{2})$"

_FIRST_YEAR, _LAST_YEAR = 2000, 2199
"""Programs write the years 1 and 9999 for "no time", and Temporal's timers end before 2300."""


def _valid_unicode(value: str) -> str:
    # Pydantic refuses half a surrogate pair in JSON; from Python it would fail only when sent.
    try:
        value.encode()
    except UnicodeEncodeError:
        raise refusal("is not valid Unicode", "valid Unicode text") from None
    return value


def _check_length(value: str, most: int, field: str | None = None) -> None:
    if not value:
        raise refusal("is empty", f"1 to {most} characters", field)
    if len(value) > most:
        raise refusal("is too long", f"at most {most} characters, got {len(value)}", field)


def _text(value: str) -> str:
    _valid_unicode(value)
    _check_length(value, MAX_TEXT)
    if not value.strip():
        raise refusal("contains only white space", "text")
    return value


def _template_name(value: str) -> str:
    _check_length(value, MAX_TEMPLATE_NAME)
    if not value.strip():
        raise refusal("contains only white space", "a template name such as visa_approved")
    if not value.isprintable():
        raise refusal("contains control characters", "a template name such as visa_approved")
    return value


def _file_url(value: str) -> str:
    try:
        return check_file_url(value)
    except InvalidFileUrl as error:
        raise refusal(str(error), "an http(s) URL of a public host") from None


def _iso_time(value: object) -> object:
    # Pydantic would also accept numbers and numeric text, as seconds since 1970.
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise refusal("is not text", TIME_EXAMPLE)
    if not re.match(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}", value):
        raise refusal("is not a time", TIME_EXAMPLE)
    return value


def _possible_time(value: datetime) -> datetime:
    if not _FIRST_YEAR <= value.year <= _LAST_YEAR:
        raise refusal(
            "is not a possible time",
            f"a time from {_FIRST_YEAR} to {_LAST_YEAR}; leave the field out for no time",
        )
    return value


def check_order(send_at: datetime | None, expires_at: datetime | None) -> None:
    """Refuse a message that expires before it may be sent. Raises PydanticCustomError."""
    if send_at and expires_at and send_at >= expires_at:
        raise refusal("is not after sendAt", "a time after sendAt", "expiresAt")


def _without_absent_fallback(values: object) -> object:
    # Null means absent for every optional field, and the fallback text is one.
    if isinstance(values, dict) and values.get(FALLBACK_VARIABLE, "") is None:
        return {name: value for name, value in values.items() if name != FALLBACK_VARIABLE}
    return values


def _variable(value: object) -> object:
    # Reports one error per variable; a union would report one for each of its members.
    if isinstance(value, str):
        if not value.strip():
            raise refusal("is empty", "text, since WhatsApp rejects empty variables")
        _valid_unicode(value)
    elif not isinstance(value, int | float) or not _is_finite(value):
        raise refusal("is not text, a number or a boolean", "text, a finite number or a boolean")
    return value


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float can hold
        return False


def _variables(values: dict[str, Any]) -> dict[str, Any]:
    if any(not name.strip() or not name.isprintable() for name in values):
        raise refusal("has an empty or unprintable name", "the names of the flow's fields")
    fallback = values.get(FALLBACK_VARIABLE, "-")
    if not isinstance(fallback, str):
        raise refusal("is not text", f"text of 1 to {MAX_TEXT} characters", FALLBACK_VARIABLE)
    _check_length(fallback, MAX_TEXT, FALLBACK_VARIABLE)
    return values


UnicodeText = Annotated[str, AfterValidator(_valid_unicode)]

PhoneText = Annotated[
    UnicodeText,
    Field(
        description="phone number in any usual notation, for example +1234567890",
        json_schema_extra={"minLength": 5, "pattern": r"^\s*\+?[0-9 ().-]+\s*$"},
    ),
]
"""A phone number as a caller writes it; contract/phone.py checks it by the rules of a region."""

Text = Annotated[
    str,
    AfterValidator(_text),
    Field(json_schema_extra={"minLength": 1, "maxLength": MAX_TEXT, "pattern": _NOT_BLANK}),
]

TemplateName = Annotated[
    str,
    AfterValidator(_template_name),
    Field(
        json_schema_extra={"minLength": 1, "maxLength": MAX_TEMPLATE_NAME, "pattern": _PRINTABLE}
    ),
]

Variable = str | bool | int | float

Variables = Annotated[
    dict[str, Annotated[Variable, BeforeValidator(_variable)]],
    BeforeValidator(_without_absent_fallback),
    AfterValidator(_variables),
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": _NOT_BLANK},
            "properties": {
                FALLBACK_VARIABLE: {
                    "type": ["string", "null"],
                    "maxLength": MAX_TEXT,
                    "pattern": _NOT_BLANK,
                }
            },
            "additionalProperties": {
                "type": ["string", "boolean", "number"],
                "pattern": _NOT_BLANK,
            },
        }
    ),
]

FileUrl = Annotated[
    str,
    AfterValidator(_file_url),
    Field(
        json_schema_extra={
            "format": "uri",
            "pattern": r"^[Hh][Tt][Tt][Pp][Ss]?://",
            "maxLength": MAX_LENGTH,
        }
    ),
]

FileType = Literal["image", "document", "video", "audio"]

Delivery = Literal["at_least_once", "at_most_once"]

OptionalDelivery = Annotated[
    Delivery,
    BeforeValidator(lambda value: "at_least_once" if value is None else value),
    WithJsonSchema(
        {"type": ["string", "null"], "enum": ["at_least_once", "at_most_once", None]},
        mode="validation",
    ),
]
"""A guarantee; null means the default."""

OptionalFlag = Annotated[
    bool,
    BeforeValidator(lambda value: False if value is None else value),
    WithJsonSchema({"type": ["boolean", "null"]}, mode="validation"),
]
"""Yes or no; null means no."""

Time = Annotated[
    AwareDatetime,
    BeforeValidator(_iso_time),
    AfterValidator(_possible_time),
    Field(strict=False, json_schema_extra={"pattern": _ISO_8601}),
]
