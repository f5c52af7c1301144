"""The request: what a starter asks for, checked field by field before anything is called."""

import json
import math
import re
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from send_whatsapp.contract.errors import FieldProblem
from send_whatsapp.contract.file_url import InvalidFileUrl, check_file_url

MAX_TEXT = 4096
MAX_TEMPLATE_NAME = 200
FALLBACK_VARIABLE = "fallback_message"

Delivery = Literal["at_least_once", "at_most_once"]
FileType = Literal["image", "document", "video", "audio"]
Variable = str | bool | int | float

_TIMES = {"expires_at", "send_at"}


def _wrong(problem: str, expected: str, field: str | None = None) -> PydanticCustomError:
    context = {"problem": problem, "expected": expected} | ({"field": field} if field else {})
    return PydanticCustomError("request", "{problem}", context)


def _unicode(value: str) -> str:
    # From JSON pydantic refuses half a surrogate pair itself; from Python it would fail later on.
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _wrong("is no valid Unicode", "valid Unicode text") from None
    return value


def _text(value: str) -> str:
    _unicode(value)
    if not 1 <= len(value) <= MAX_TEXT:
        raise _wrong(f"has {len(value):,} characters", f"1 to {MAX_TEXT:,} characters")
    if not value.strip():
        raise _wrong("holds white space only", "words")
    return value


def _template_name(value: str) -> str:
    if not 1 <= len(value) <= MAX_TEMPLATE_NAME or not value.strip():
        raise _wrong("is empty or too long", f"a name of 1 to {MAX_TEMPLATE_NAME} characters")
    if not value.isprintable():
        raise _wrong("holds control characters", "a template's name, for example visa_approved")
    return value


def _file_url(value: str) -> str:
    try:
        return check_file_url(value)
    except InvalidFileUrl as error:
        raise _wrong(str(error), "an http(s) URL of a public host") from None


def _iso_time(value: object) -> object:
    # Pydantic would also take numbers and numeric text as seconds since 1970.
    if isinstance(value, str) and not re.match(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}", value):
        raise _wrong("is no time", "ISO 8601 with its zone, for example 2027-01-31T09:00:00Z")
    if not isinstance(value, str | datetime):
        raise _wrong("is no text", "ISO 8601 with its zone, for example 2027-01-31T09:00:00Z")
    return value


def _scalar(value: object) -> object:
    # One error for each variable, where a union would report one for each of its members.
    if isinstance(value, str):
        if not value.strip():
            raise _wrong("is empty", "words, since WhatsApp rejects empty variables")
        _unicode(value)
    elif not isinstance(value, int | float) or not _is_finite(value):
        raise _wrong("is no text, number or boolean", "text, a finite number or a boolean")
    return value


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False


def _variables(values: dict[str, Any]) -> dict[str, Any]:
    if any(not name.strip() or not name.isprintable() for name in values):
        raise _wrong("has a name that is empty or not printable", "the names of the flow's fields")
    fallback = values.get(FALLBACK_VARIABLE, "-")
    if not isinstance(fallback, str) or len(fallback) > MAX_TEXT:
        raise _wrong(
            "is no text or too long", f"text of 1 to {MAX_TEXT:,} characters", FALLBACK_VARIABLE
        )
    return values


class Request(BaseModel):
    """Base of what a starter hands to a workflow: camelCase in JSON, unknown fields are refused."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _json_is_camel_case(cls, data: Any, info: ValidationInfo) -> Any:
        # Python callers write the fields' own names; JSON has one spelling of each.
        if info.mode == "json" and isinstance(data, dict):
            for name, field in cls.model_fields.items():
                if name in data and name != field.alias:
                    raise _wrong("is not known", f"{field.alias}, as JSON names it", name)
        return data


Text = Annotated[str, AfterValidator(_text)]
Time = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_iso_time)]
Variables = Annotated[
    dict[str, Annotated[Variable, BeforeValidator(_scalar)]], AfterValidator(_variables)
]


class SendWhatsAppRequest(Request):
    """One message to one person: free text, or a template, or a file (design: "Contract").

    Optional fields may be null, which means absent. Raises pydantic's ValidationError for anything
    that the contract refuses; `problems` turns that into words without values.
    """

    to: Annotated[str, AfterValidator(_unicode)] = Field(
        description="phone number in any usual notation, for example +1234567890"
    )
    message: Text | None = Field(
        None, description="free text, 1 to 4,096 characters; beside template the fallback text"
    )
    template: Annotated[str, AfterValidator(_template_name)] | None = Field(
        None, description="template name, looked up among the provider's flows"
    )
    variables: Variables | None = Field(
        None, description="template variables by name; fallback_message is the fallback text"
    )
    file_url: Annotated[str, AfterValidator(_file_url)] | None = Field(
        None, description="http(s) URL of a file on a public host"
    )
    file_type: FileType | None = Field(None, description="what the file is")
    delivery: Annotated[
        Delivery, BeforeValidator(lambda v: "at_least_once" if v is None else v)
    ] = Field("at_least_once", description="what to do when nobody knows whether a send went out")
    send_at: Time | None = Field(None, description="not to be sent before this time (ISO 8601)")
    expires_at: Time | None = Field(None, description="not to be sent after this time (ISO 8601)")

    @model_validator(mode="after")
    def _exactly_one_content(self) -> Self:
        if (self.file_url is None) != (self.file_type is None):
            missing = "file_type" if self.file_type is None else "file_url"
            raise _wrong("is missing", "fileUrl and fileType together", to_camel(missing))
        contents = [self.template or self.message, self.file_url]
        if sum(content is not None for content in contents) != 1:
            raise _wrong(
                "has no content" if not any(contents) else "has two contents",
                "exactly one of message, template, or fileUrl with fileType",
            )
        if self.variables and self.template is None:
            raise _wrong("stands without a template", "a template, or no variables", "variables")
        if self.send_at and self.expires_at and self.send_at >= self.expires_at:
            raise _wrong("is not after sendAt", "a later time", "expiresAt")
        return self

    @property
    def fallback_text(self) -> str | None:
        """Text to send where no template matches; `variables.fallback_message` wins."""
        if self.template is None:
            return None
        fallback = (self.variables or {}).get(FALLBACK_VARIABLE)
        return fallback if isinstance(fallback, str) else self.message

    @property
    def template_variables(self) -> dict[str, str]:
        """Template variables as text, by name, each run of white space as one blank.

        WhatsApp rejects line breaks, tabs and runs of spaces in them (provider-api: #131008).
        """
        return {
            name: " ".join(_as_text(value).split())
            for name, value in (self.variables or {}).items()
            if name != FALLBACK_VARIABLE
        }

    def body(self) -> str:
        """Return what makes two requests the same: JSON with defaults filled in, without times.

        As text, since Python takes 1, 1.0 and True for equal, which go out as different words.
        """
        fields = self.model_dump(mode="json", by_alias=True, exclude=_TIMES)
        return json.dumps(fields, sort_keys=True)


def _as_text(value: Variable) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


_EXPECTED = {
    "missing": "this field",
    "extra_forbidden": "only the fields of the contract",
    "string_type": "text",
    "dict_type": "an object of names and values",
    "model_type": "one JSON object",
    "model_attributes_type": "one JSON object",
    "json_invalid": "valid JSON",
    "string_unicode": "valid Unicode text",
    "timezone_aware": "a time with its zone, for example 2027-01-31T09:00:00Z",
}
_PROBLEM = {
    "missing": "is missing",
    "extra_forbidden": "is not known",
    "string_type": "is no text",
    "dict_type": "is no object",
    "json_invalid": "is no valid JSON",
    "literal_error": "has a value that is not known",
    "timezone_aware": "has no zone",
}


def problems(error: ValidationError) -> list[FieldProblem]:
    """Return what is wrong with a request, each by its path in JSON names and without its value."""
    found: dict[str, FieldProblem] = {}
    for item in error.errors(include_input=False, include_url=False):
        context = item.get("ctx", {})
        path = [str(part) for part in item["loc"]] + (
            [context["field"]] if "field" in context else []
        )
        field = ".".join(part if part.isprintable() else "?" for part in path)[:100] or "request"
        problem = context.get("problem") or _PROBLEM.get(item["type"], "has the wrong form")
        expected = context.get("expected") or _EXPECTED.get(item["type"], "what the contract says")
        found.setdefault(field, FieldProblem(field=field, problem=problem, expected=expected))
    return list(found.values())
