"""The OpenAPI document: what it says about each route, with schemas and examples."""

from typing import Any, Literal

from fastapi import Security
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from send_whatsapp.contract.batch_body import batch_body_schema
from send_whatsapp.contract.errors import FieldProblem
from send_whatsapp.contract.result import Outcome, SendWhatsAppResult
from send_whatsapp.contract.schema import request_schema


class Message(BaseModel):
    """The state of a message."""

    model_config = ConfigDict(alias_generator=to_camel)

    id: str
    status: Outcome
    status_url: str
    ui_url: str | None
    result: SendWhatsAppResult | None = None


class ProblemDetails(BaseModel):
    """An error (RFC 9457)."""

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
_CANCELLED = _RUNNING | {"status": "cancelled"}
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

BATCHES = {
    "one template": {
        "key": "jan-2027",
        "template": "visa_approved",
        "rows": [
            {"to": "+1234567890", "variables": {"name": "John Doe"}},
            {"to": "+1234567891", "variables": {"name": "Jane Doe"}},
        ],
        "perMinute": 600,
    }
}


def _examples(values: dict[str, Any]) -> dict[str, Any]:
    return {name: {"value": value} for name, value in values.items()}


def _message(description: str, **examples: Any) -> dict[str, Any]:
    content = {"application/json": {"examples": _examples(examples)}}
    return {"model": Message, "description": description, "content": content}


def json_body(schema: dict[str, Any], **examples: Any) -> dict[str, Any]:
    """Return what the document says about a JSON body."""
    content = {"schema": schema} | ({"examples": _examples(examples)} if examples else {})
    return {"required": True, "content": {"application/json": content}}


_PROBLEMS = {
    400: "The body is not valid JSON, or the Idempotency-Key is malformed",
    401: "No valid bearer token or signature",
    404: "Nothing has this id or key",
    408: "The request did not arrive in time",
    409: "Too late, or the key is in use",
    413: "The body is larger than 64 KB",
    415: "The Content-Type is not application/json",
    422: "A field is invalid, or the key belongs to another request",
    429: "More requests a minute than allowed; see Retry-After",
    431: "The headers are larger than 32 KB, or more than 100",
    503: "Temporal does not answer or refuses, or too many requests at once; see Retry-After",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what the document says about these error answers."""
    return {
        status: {
            "description": _PROBLEMS[status],
            "content": {
                "application/problem+json": {
                    "schema": {"$ref": "#/components/schemas/ProblemDetails"},
                    "example": {
                        "type": "about:blank",
                        "title": _PROBLEMS[status],
                        "status": status,
                    },
                }
            },
        }
        for status in statuses
    } | {"default": {"model": ProblemDetails, "description": "Any other error"}}


def _header(name: str, description: str, example: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "description": description,
        "schema": {"type": "string"},
        "example": example,
    }


PREFER = _header(
    "Prefer", "wait=N: answer when the run is closed, at the latest after N seconds", "wait=10"
)
_KEY = _header(
    "Idempotency-Key",
    "1 to 200 printable ASCII characters, quoted or bare, not beginning with `batch-` or"
    " `webhook:`; one key is one run",
    '"order-4711"',
)
# The middleware checks the token; this only adds it to the document.
WITH_TOKEN: list[Any] = [Security(HTTPBearer(auto_error=False))]

_STARTED = {
    202: _message("The run has started, or exists under this key", running=_RUNNING),
    200: _message("The run is closed (Prefer: wait)", accepted=_ACCEPTED, unknown=_UNKNOWN),
}

POST_MESSAGE: dict[str, Any] = {
    "status_code": 202,
    "dependencies": WITH_TOKEN,
    "summary": "Send a message",
    "responses": _STARTED | problems(400, 401, 408, 413, 415, 422, 429, 431, 503),
    "openapi_extra": {
        "parameters": [_KEY, PREFER],
        "requestBody": json_body(request_schema(), **REQUESTS),
    },
}

GET_MESSAGE: dict[str, Any] = {
    "summary": "Get the state of a message",
    "responses": {
        200: _message(
            "The state, with `result` once the run is closed",
            running=_RUNNING,
            accepted=_ACCEPTED,
            unknown=_UNKNOWN,
        )
    }
    | problems(401, 404, 429, 503),
    "dependencies": WITH_TOKEN,
}

DELETE_MESSAGE: dict[str, Any] = {
    "summary": "Cancel a message",
    "responses": {
        200: _message("Cancelled: nothing was sent", cancelled=_CANCELLED),
        202: _message("Cancellation is requested; the run has not ended yet", running=_RUNNING),
    }
    | problems(401, 404, 409, 429, 503),
    "dependencies": WITH_TOKEN,
}

POST_WEBHOOK: dict[str, Any] = {
    "status_code": 202,
    "summary": "Send what a declared webhook makes of the body",
    "responses": _STARTED
    | {204: {"description": "The webhook's condition does not hold: nothing is sent"}}
    | problems(400, 401, 404, 408, 413, 415, 422, 429, 431, 503),
    "openapi_extra": {
        "parameters": [PREFER],
        "requestBody": json_body({"type": "object"}),
    },
}

POST_BATCH: dict[str, Any] = {
    "status_code": 202,
    "dependencies": WITH_TOKEN,
    "summary": "Start a batch, or continue it",
    "responses": problems(400, 401, 408, 409, 413, 415, 422, 429, 431, 503),
    "openapi_extra": {"requestBody": json_body(batch_body_schema(), **BATCHES)},
}


def _existing_batch(summary: str, status_code: int = 200) -> dict[str, Any]:
    return {
        "summary": summary,
        "status_code": status_code,
        "dependencies": WITH_TOKEN,
        "responses": problems(401, 404, 409, 429, 503),
    }


GET_BATCH = _existing_batch("Get the status of a batch")
GET_BATCH_REPORT = _existing_batch("Get the outcome of each row")
PAUSE_BATCH = _existing_batch("Pause a batch: start no further row")
RESUME_BATCH = _existing_batch("Resume a paused batch")
CANCEL_BATCH = _existing_batch("Cancel a batch", status_code=202)

READY: dict[str, Any] = {
    "summary": "200 if a message could be started now; `warning` if the clocks differ",
    "responses": problems(503),
}
HEALTHY: dict[str, Any] = {"summary": "200 while the process serves"}
