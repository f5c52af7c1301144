"""Checks every answer that a test receives against the OpenAPI document of the gateway."""

import copy
import re
from functools import cache
from typing import Any, cast

import httpx
import jsonschema
from fastapi import FastAPI

from send_whatsapp.gateway.app import create_app
from send_whatsapp.gateway.openapi.document import openapi_document
from send_whatsapp.gateway.tokens import Tokens
from send_whatsapp.settings import GatewaySettings

MAX_VALIDATED_BYTES = 100_000


@cache
def document() -> dict[str, Any]:
    """Return the document of a gateway without tokens and webhooks."""
    return openapi_document(app_without_a_server(), {}, needs_token=False)


def app_without_a_server() -> FastAPI:
    """Return the gateway's app, of which only the routes can be used."""
    nothing = cast(Any, None)
    return create_app(nothing, GatewaySettings.load({}), Tokens({}, None), {}, nothing, nothing)


@cache
def strict_components() -> dict[str, Any]:
    """Return the schemas, in which an answer has no field that the document does not name."""
    components = copy.deepcopy(document()["components"])
    for schema in components["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return cast(dict[str, Any], components)


def validator(schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    """Return a validator of a schema in the document."""
    return jsonschema.Draft202012Validator(schema | {"components": strict_components()})


def body_schema(path: str) -> dict[str, Any]:
    """Return the schema of what is posted to a path of the document."""
    body = document()["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    return cast(dict[str, Any], body["schema"])


async def is_as_documented(answer: httpx.Response) -> None:
    """Check status, media type, required headers and body of an answer."""
    operation = _operation(answer.request)
    if operation is None:
        return
    documented = operation["responses"]
    if answer.status_code < 400:
        found = documented[str(answer.status_code)]
    else:
        found = documented.get(str(answer.status_code), documented["default"])
    for name, header in found.get("headers", {}).items():
        assert not header["required"] or name in answer.headers
    body = await answer.aread()
    if "content" not in found or answer.request.method == "HEAD":
        assert not body
        return
    (media_type,) = found["content"]
    assert answer.headers["content-type"] == media_type
    # Validating a long report would take longer than all the rest of its test.
    if len(body) <= MAX_VALIDATED_BYTES:
        validator(found["content"][media_type]["schema"]).validate(answer.json())


def _operation(request: httpx.Request) -> dict[str, Any] | None:
    """Return what the document says about this request; None if it has no such path."""
    path = request.url.raw_path.decode().partition("?")[0]
    for template, operations in document()["paths"].items():
        pattern = re.sub(r"\\{[^}]*\\}", ".+", re.escape(template))
        if re.fullmatch(pattern, path):
            method = "get" if request.method == "HEAD" else request.method.lower()
            return cast(dict[str, Any] | None, operations.get(method))
    return None
