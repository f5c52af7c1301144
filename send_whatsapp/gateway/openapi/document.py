"""Puts the OpenAPI document together: routes, schemas, and who may call what."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from send_whatsapp.gateway.openapi.schemas import component_schemas
from send_whatsapp.gateway.webhooks import Webhook

_BEARER = "bearer"
_NOBODY_ASKED = "No authentication, because the gateway was started without tokens."
_WITH_TOKENS = "Every path under /v1/ needs a bearer token; a webhook with a signature needs that."


def openapi_document(
    app: FastAPI, webhooks: Mapping[str, Webhook], *, needs_token: bool
) -> dict[str, Any]:
    """Return the document of the app's routes; `needs_token` as the middleware checks it."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=_WITH_TOKENS if needs_token else _NOBODY_ASKED,
        routes=app.routes,
    )
    for route in app.routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in route.methods or ():
                # FastAPI's copy lacks the nulls of the examples.
                document["paths"][route.path_format][method.lower()]["responses"] = {
                    str(status): answer for status, answer in route.responses.items()
                }
    schemes: dict[str, Any] = {}
    token: list[dict[str, list[str]]] = []
    if needs_token:
        schemes[_BEARER] = {"type": "http", "scheme": "bearer"}
        token = [{_BEARER: []}]
    signatures: list[dict[str, list[str]]] = []
    for name, webhook in webhooks.items():
        if webhook.signature:
            scheme = f"webhook-{name}"
            schemes[scheme] = _signature(name, webhook.signature.header)
            signatures.append({scheme: []})
    for path, operations in document["paths"].items():
        is_webhook = path.startswith("/v1/webhooks/")
        for operation in operations.values():
            if path.startswith("/v1/"):
                operation["security"] = token
            if is_webhook and signatures:
                operation["security"] = [*signatures, *(token or [{}])]
    document["components"] = {"schemas": component_schemas()}
    if schemes:
        document["components"]["securitySchemes"] = schemes
    return document


def _signature(name: str, header: str) -> dict[str, str]:
    description = f"Signature of the webhook {name} (docs/webhooks.md)"
    return {"type": "apiKey", "in": "header", "name": header, "description": description}
