"""JSON Schema of request and result, for starters in other languages; run to write the files.

Pydantic writes down the fields and their types; what our validators check beyond stands here.
"""

import json
from pathlib import Path
from typing import Any

from send_whatsapp.contract.file_url import MAX_LENGTH
from send_whatsapp.contract.request import (
    FALLBACK_VARIABLE,
    MAX_TEMPLATE_NAME,
    MAX_TEXT,
    SendWhatsAppRequest,
)
from send_whatsapp.contract.result import SendWhatsAppResult

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FOLDER = Path(__file__).resolve().parents[2] / "docs" / "schema"

_WORDS = r"\S"
_TIME = r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?([Zz]|[+-]\d{2}:?\d{2})$"

_CHECKS: dict[str, dict[str, Any]] = {
    "message": {"minLength": 1, "maxLength": MAX_TEXT, "pattern": _WORDS},
    "template": {
        "minLength": 1,
        "maxLength": MAX_TEMPLATE_NAME,
        "pattern": r"^[^\u0000-\u001f\u007f]*[^\u0000-\u0020\u007f][^\u0000-\u001f\u007f]*$",
    },
    "fileUrl": {"format": "uri", "pattern": "^https?://", "maxLength": MAX_LENGTH},
    "sendAt": {"pattern": _TIME},
    "expiresAt": {"pattern": _TIME},
    "delivery": {"type": ["string", "null"], "enum": ["at_least_once", "at_most_once", None]},
}

_VARIABLES: dict[str, Any] = {
    "type": "object",
    "propertyNames": {"pattern": _WORDS},
    "properties": {FALLBACK_VARIABLE: {"type": "string", "maxLength": MAX_TEXT, "pattern": _WORDS}},
    "additionalProperties": {"type": ["string", "boolean", "number"], "pattern": _WORDS},
}

_ABSENT: dict[str, Any] = {"type": "null"}
_TEXT: dict[str, Any] = {"type": "string"}
_NO_VARIABLES: dict[str, Any] = {"type": ["object", "null"], "maxProperties": 0}
_NO_FILE = {"fileUrl": _ABSENT, "fileType": _ABSENT}

_EXACTLY_ONE_CONTENT = [
    {
        "required": ["message"],
        "properties": {"message": _TEXT, "template": _ABSENT, "variables": _NO_VARIABLES}
        | _NO_FILE,
    },
    {"required": ["template"], "properties": {"template": _TEXT} | _NO_FILE},
    {
        "required": ["fileUrl", "fileType"],
        "properties": {
            "fileUrl": _TEXT,
            "fileType": _TEXT,
            "message": _ABSENT,
            "template": _ABSENT,
            "variables": _NO_VARIABLES,
        },
    },
]


def request_schema() -> dict[str, Any]:
    """Return the schema of a request: all of the contract that JSON Schema can express.

    It cannot say which hosts are public, nor that expiresAt is after sendAt.
    """
    schema = _without_titles(SendWhatsAppRequest.model_json_schema(by_alias=True))
    schema["description"] = "One message to one person: a text, or a template, or a file."
    for name, checks in _CHECKS.items():
        schema["properties"][name] |= checks
    schema["properties"]["variables"]["anyOf"][0] = _VARIABLES
    return schema | {"oneOf": _EXACTLY_ONE_CONTENT}


def result_schema() -> dict[str, Any]:
    """Return the schema of a result; fields that it does not name may come later."""
    schema = _without_titles(SendWhatsAppResult.model_json_schema(by_alias=True))
    schema["description"] = "What came of a send; accepted by the provider is not yet delivered."
    error = schema["properties"]["error"]
    schema["properties"]["error"] = {"$ref": error["anyOf"][0]["$ref"]}
    schema["required"] = [name for name in schema["properties"] if name != "error"]
    return schema


def schemas() -> dict[str, str]:
    """Return the text of each schema file by its name."""
    return {
        f"{name}.schema.json": json.dumps({"$schema": DIALECT} | schema, indent=2) + "\n"
        for name, schema in (("request", request_schema()), ("result", result_schema()))
    }


def _without_titles(schema: dict[str, Any]) -> dict[str, Any]:
    """Drop the titles of fields, which repeat their names."""
    for part in (schema, *schema.get("$defs", {}).values()):
        for field in part.get("properties", {}).values():
            field.pop("title", None)
    return schema


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in schemas().items():
        (FOLDER / name).write_text(text)
