"""What the gateway's OpenAPI document says of each route: schemas and examples."""

from typing import Any, Literal

from fastapi import Security
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from send_whatsapp.contract.errors import FieldProblem
from send_whatsapp.contract.result import Outcome, SendWhatsAppResult
from send_whatsapp.contract.schema import request_schema


class Message(BaseModel):
    """How a message stands."""

    model_config = ConfigDict(alias_generator=to_camel)

    id: str
    status: Outcome
    status_url: str
    ui_url: str | None
    result: SendWhatsAppResult | None = None


class ProblemDetails(BaseModel):
    """A refusal (RFC 9457)."""

    type: Literal["about:blank"]
    title: str
    status: int
    errors: list[FieldProblem] | None = None


_RUNNING = {
    "id": "order-4711",
    "status": "running",
    "statusUrl": "/v1/messages/order-4711",
    "uiUrl": "http://127.0.0.1:8233/namespaces/default/workflows/order-4711",
}
_ACCEPTED = _RUNNING | {
    "status": "accepted",
    "result": {
        "success": True,
        "contactId": "1234567890",
        "messageId": None,
        "to": "+1234567890",
        "timestamp": "2026-11-24T09:00:00Z",
        "sentAs": "text",
        "flowId": None,
        "fallbackReason": None,
    },
}
_UNKNOWN = _RUNNING | {
    "status": "unknown",
    "result": {
        "success": False,
        "error": {
            "type": "DeliveryUnknown",
            "message": "Nobody can know whether the message went out",
            "retryable": False,
        },
    },
}

REQUESTS = {
    "text": {"to": "+1234567890", "message": "Hello"},
    "template": {
        "to": "+1234567890",
        "template": "visa_approved",
        "variables": {"name": "John Doe", "fallback_message": "Your visa is approved!"},
    },
    "file": {
        "to": "+1234567890",
        "fileUrl": "https://example.com/visa.pdf",
        "fileType": "document",
    },
    "later": {"to": "+1234567890", "message": "Hello", "sendAt": "2027-01-31T09:00:00+01:00"},
}


def _examples(**values: Any) -> dict[str, Any]:
    return {name: {"value": value} for name, value in values.items()}


def _message(description: str, **examples: Any) -> dict[str, Any]:
    content = {"application/json": {"examples": _examples(**examples)}}
    return {"model": Message, "description": description, "content": content}


_PROBLEMS = {
    400: "no JSON, or a wrong Idempotency-Key",
    401: "no valid bearer token or signature",
    404: "nothing has this id or key",
    408: "the request did not arrive in time",
    409: "too late: it has ended",
    413: "the body is larger than 64 KB",
    415: "the body is not declared as application/json",
    422: "a field is wrong, or the key belongs to another request",
    429: "more requests in a minute than allowed; see Retry-After",
    431: "the headers are larger than 32 KB or more than 100",
    503: "Temporal does not answer, or too many requests at once; see Retry-After",
}


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what the document says of these refusals."""
    return {
        status: {
            "description": _PROBLEMS[status],
            "content": {
                "application/problem+json": {
                    "schema": {"$ref": "#/components/schemas/ProblemDetails"},
                    "example": {
                        "type": "about:blank",
                        "title": _PROBLEMS[status].capitalize(),
                        "status": status,
                    },
                }
            },
        }
        for status in statuses
    } | {"default": {"model": ProblemDetails, "description": "any other refusal"}}


def _header(name: str, description: str, example: str) -> dict[str, Any]:
    schema = {"type": "string"}
    return {
        "name": name,
        "in": "header",
        "description": description,
        "schema": schema,
        "example": example,
    }


_PREFER = _header("Prefer", "wait=N: answer when the run is closed, or after N seconds", "wait=10")
_KEY = _header(
    "Idempotency-Key",
    "1 to 200 printable ASCII characters, quoted or bare; the same key means the same run",
    '"order-4711"',
)
# The guard checks the token; this only puts it into the document.
WITH_TOKEN: list[Any] = [Security(HTTPBearer(auto_error=False))]

_BEGUN = {
    202: _message("the run is begun, or exists under this key", running=_RUNNING),
    200: _message("the run is closed (Prefer: wait)", accepted=_ACCEPTED, unknown=_UNKNOWN),
}

POST: dict[str, Any] = {
    "status_code": 202,
    "dependencies": WITH_TOKEN,
    "summary": "Send a message",
    "responses": _BEGUN | problem_responses(400, 401, 408, 413, 415, 422, 429, 431, 503),
    "openapi_extra": {
        "parameters": [_KEY, _PREFER],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": request_schema(),
                    "examples": _examples(**REQUESTS),
                }
            },
        },
    },
}

GET: dict[str, Any] = {
    "summary": "Ask how a message stands",
    "responses": {
        200: _message(
            "how it stands, with `result` once its run is closed",
            running=_RUNNING,
            accepted=_ACCEPTED,
            unknown=_UNKNOWN,
        )
    }
    | problem_responses(401, 404, 429, 503),
    "dependencies": WITH_TOKEN,
}

DELETE: dict[str, Any] = {
    "summary": "Cancel a message",
    "responses": {
        200: _message("cancelled, nothing was sent", cancelled=_RUNNING | {"status": "cancelled"}),
        202: _message("asked to stop, not ended yet", running=_RUNNING),
    }
    | problem_responses(401, 404, 409, 429, 503),
    "dependencies": WITH_TOKEN,
}

WEBHOOK: dict[str, Any] = {
    "status_code": 202,
    "summary": "Send what a declared webhook makes of a foreign body",
    "responses": _BEGUN
    | {204: {"description": "the webhook makes nothing of this body"}}
    | problem_responses(400, 401, 404, 408, 413, 415, 422, 429, 431, 503),
    "openapi_extra": {
        "parameters": [_PREFER],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
    },
}

READY: dict[str, Any] = {
    "summary": "200 where Temporal answers",
    "responses": problem_responses(503),
}
HEALTHY: dict[str, Any] = {"summary": "200 while the process serves"}
