"""Writes the JSON Schema of request and result to docs/schema, for other languages.

The schema of each field is beside its check in contract/fields.py. JSON Schema cannot express
which hosts are public, nor that `expiresAt` is after `sendAt`, nor which time zones exist.
"""

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import DEFAULT_REF_TEMPLATE

from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.contract.result import SendWhatsAppResult

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FOLDER = Path(__file__).resolve().parents[2] / "docs" / "schema"


def request_schema(reference: str = DEFAULT_REF_TEMPLATE) -> dict[str, Any]:
    """Return the JSON Schema of a request, in which `reference` names the schema of a `{model}`."""
    schema = SendWhatsAppRequest.model_json_schema(by_alias=True, ref_template=reference)
    schema = _without_titles(schema)
    return schema | {"description": "One message to one person: a text, a template or a file."}


def result_schema() -> dict[str, Any]:
    """Return the JSON Schema of a result; later versions may add fields."""
    schema = _without_titles(SendWhatsAppResult.model_json_schema(by_alias=True))
    error = schema["properties"]["error"]
    schema["properties"]["error"] = {"$ref": error["anyOf"][0]["$ref"]}
    schema["required"] = [name for name in schema["properties"] if name != "error"]
    description = "Result of a send; accepted by the provider does not mean delivered."
    return schema | {"description": description}


def schemas() -> dict[str, str]:
    """Return the text of each schema file by its name."""
    return {
        f"{name}.schema.json": json.dumps({"$schema": DIALECT} | schema, indent=2) + "\n"
        for name, schema in (("request", request_schema()), ("result", result_schema()))
    }


def _without_titles(schema: dict[str, Any]) -> dict[str, Any]:
    """Drop the titles of fields, which only repeat their names."""
    for part in (schema, *schema.get("$defs", {}).values()):
        for field in part.get("properties", {}).values():
            field.pop("title", None)
    return schema


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in schemas().items():
        (FOLDER / name).write_text(text)
