"""The named schemas of the OpenAPI document: bodies, answers, and what they consist of."""

import json
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel
from pydantic.json_schema import models_json_schema

from send_whatsapp.contract.batch_body import BatchBody
from send_whatsapp.contract.errors import FieldProblem
from send_whatsapp.contract.fields import Delivery, FileType, PhoneText, Variables
from send_whatsapp.contract.model import Request
from send_whatsapp.contract.opt_out import SetOptOutResult
from send_whatsapp.contract.result import Outcome, SendError
from send_whatsapp.contract.schema import request_schema, result_schema
from send_whatsapp.gateway.openapi.events import EVENTS

REFERENCE = "#/components/schemas/{model}"

_COMMON_FIELDS = ("delivery", "inOrder", "sendAt", "expiresAt", "ignoreOptOut", "sendWindow")

Count = Field(ge=0)


_NULL: Final = {"type": "null"}

_SHARED_TYPES: Final[dict[str, Any]] = {
    "Delivery": Delivery,
    "FileType": FileType,
    "Outcome": Outcome,
    "Variables": Variables,
}
_SHARED: Final = {name: TypeAdapter(type_).json_schema() for name, type_ in _SHARED_TYPES.items()}
"""Schemas that several fields have."""


class _Answer(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


class MessageState(_Answer):
    """The state of a message; `result` is present once its run is closed."""

    id: str
    status: Outcome
    status_url: str = Field(description="path of the state, for GET and DELETE")
    ui_url: str | None = Field(description="the run in the Temporal Web UI")


class BatchState(_Answer):
    """How many rows of a batch have which outcome, and whether it is paused.

    `status` is `running` until all rows have ended, then the worst outcome of a row.
    """

    key: str
    status: Outcome
    accepted: int = Count
    failed: int = Count
    unknown: int = Count
    cancelled: int = Count
    running: int = Count
    total: int = Count
    paused: bool
    pause_reason: str | None
    in_queue: int = Field(description="running rows that wait for their turn")
    retrying: int = Field(description="running rows that wait for another attempt")
    retry_reason: str | None
    outside_window: int = Field(description="running rows that wait for their send window")
    window_opens_at: datetime | None = Field(
        description="when the first of these windows opens; null if no row waits for one"
    )
    send_at: datetime | None = Field(description="when the batch starts, if it starts later")
    seconds_left: int | None = Field(
        description="estimated seconds until all rows have ended; null if nothing tells"
    )
    status_url: str
    ui_url: str | None


class ReportRow(_Answer):
    """The outcome of a row; `row` is null for a row that only an earlier batch with the key had."""

    row: int | None
    to: str
    outcome: Outcome
    contact_id: str | None
    error_type: str | None
    error: str | None
    finished_at: str | None = Field(description="UTC, ISO 8601")


class BatchReport(_Answer):
    """The outcome of each row, in the order of the rows."""

    key: str
    rows: list[ReportRow]


class OptOutBody(Request):
    """Whose opt-out to record."""

    to: PhoneText


class OptOutState(_Answer):
    """The state of a change of somebody's opt-out, with `result` or `error` once it is closed."""

    id: str
    status: Literal["running", "done", "failed"]
    opted_out: bool
    ui_url: str | None
    result: SetOptOutResult | None = None
    error: SendError | None = None


class Health(_Answer):
    """The process serves."""

    status: Literal["ok"]


class Readiness(_Answer):
    """A message could be started now."""

    status: Literal["ready"]
    warning: str | None = Field(None, description="the clocks of gateway and Temporal differ")


class ProblemDetails(_Answer):
    """An error (RFC 9457)."""

    type: Literal["about:blank"]
    title: str
    status: int
    errors: list[FieldProblem] | None = Field(None, description="the invalid fields, by path")
    id: str | None = Field(None, description="id of the message that can no longer be cancelled")
    message_status: Outcome | None = Field(None, description="status of that message")


def component_schemas() -> dict[str, Any]:
    """Return the schemas by name."""
    answers = (
        *(MessageState, BatchState, BatchReport, OptOutState),
        *(Health, Readiness, ProblemDetails),
    )
    _, generated = models_json_schema(
        [(model, "validation") for model in (BatchBody, OptOutBody, *answers, *EVENTS)],
        by_alias=True,
        ref_template=REFERENCE,
    )
    schemas: dict[str, Any] = {**_messages(), **generated["$defs"]}
    schemas["Batch"] = schemas.pop("BatchBody")
    schemas["OptOut"] = schemas.pop("OptOutBody")
    schemas["OptOutResult"] = schemas.pop("SetOptOutResult")
    schemas["OptOutState"]["properties"] |= {
        "result": _reference("OptOutResult"),
        "error": _reference("SendError"),
    }
    result = result_schema()
    result["properties"]["error"] = _reference("SendError")
    schemas |= result.pop("$defs")
    schemas["FieldProblem"]["properties"]["line"] = {
        "type": "integer",
        "minimum": 1,
        "description": "line of the uploaded rows",
    }
    schemas["Result"] = result
    schemas["MessageState"]["properties"]["result"] = _reference("Result")
    schemas["MessageEventData"]["properties"]["result"] = _reference("Result")
    schemas["MessageEventData"]["required"].append("result")
    for name, schema in schemas.items():
        schema["title"] = name
        schema["properties"] = {n: _named(field) for n, field in schema["properties"].items()}
    return dict(sorted((schemas | _SHARED).items()))


def _named(field: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a field with a reference to the shared schema that it repeats.

    Client generators would make a type of their own for each field.
    """
    field = _optional({key: value for key, value in field.items() if key != "title"})
    choices = [choice for choice in field.get("anyOf", [field]) if choice != _NULL]
    for name, schema in _SHARED.items():
        if len(choices) == 1 and _meaning(choices[0]) == _meaning(schema):
            is_null_allowed = _NULL in field.get("anyOf", []) or None in field.get("enum", [])
            reference = _reference(name)
            named = {"anyOf": [reference, _NULL]} if is_null_allowed else reference
            return named | {key: field[key] for key in field if key == "description"}
    return field


def _optional(field: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a field with its default, which some generators require, as text."""
    default = field.pop("default", None)
    if default is not None:
        shown = default if isinstance(default, str) else json.dumps(default)
        field["description"] = f"{field.get('description', '')} (default: {shown})".strip()
    return field


def _meaning(schema: dict[str, Any]) -> Any:
    values = schema.get("enum")
    if values:
        return [value for value in values if value is not None]
    return schema.get("additionalProperties")


def message_schema() -> dict[str, Any]:
    """Return the schema of the body that sends a message: one of three kinds of content."""
    return {"oneOf": [_reference(name) for name in _messages()]}


def _messages() -> dict[str, Any]:
    """Return a schema for each kind of message, with all fields that it may have."""
    return {
        "TextMessage": _message("A free text to one person.", ["message"]),
        "TemplateMessage": _message(
            "A template to one person; `message` or `variables.fallback_message` is the text that"
            " is sent if the provider has no such template.",
            ["template"],
            ["variables", "message"],
        ),
        "FileMessage": _message("A file to one person.", ["fileUrl", "fileType"]),
    }


def _message(description: str, content: list[str], optional: list[str] | None = None) -> Any:
    fields = request_schema(REFERENCE)["properties"]
    required = {"to": fields["to"]} | {name: _not_null(fields[name]) for name in content}
    others = {name: fields[name] for name in (*(optional or []), *_COMMON_FIELDS)}
    return {
        "type": "object",
        "description": description,
        "required": list(required),
        "properties": required | others,
        "additionalProperties": False,
    }


def _not_null(field: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an optional field where it is required."""
    schemas = field.get("anyOf", [])
    (schema,) = (schema for schema in schemas if schema != _NULL)
    return {**schema, "description": field["description"]}


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": REFERENCE.format(model=name)}
