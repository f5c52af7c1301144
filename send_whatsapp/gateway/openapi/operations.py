"""What the OpenAPI document says about each route: parameters, bodies, answers and problems."""

from typing import Annotated, Any, Final

from fastapi import Path

from send_whatsapp.contract.names import MAX_BATCH_KEY_LENGTH, MAX_ID_LENGTH
from send_whatsapp.gateway.openapi import examples
from send_whatsapp.gateway.openapi.schemas import REFERENCE, message_schema, upload_parameters
from send_whatsapp.gateway.problems import MEDIA_TYPE

_BARE: Final = "[!#-~]([ -~]{0,198}[!-~])?"
_QUOTED_CHARACTER: Final = r'([!#-\[\]-~]|\\["\\])'
_QUOTED: Final = f'"{_QUOTED_CHARACTER}(( |{_QUOTED_CHARACTER}){{0,198}}{_QUOTED_CHARACTER})?"'
IDEMPOTENCY_KEY: Final = f'^(?!"?(batch-|webhook:))({_QUOTED}|{_BARE})$'

MessageId = Annotated[
    str,
    Path(
        description="the message's id: its key, or the random id of a message without a key",
        json_schema_extra={"minLength": 1, "maxLength": MAX_ID_LENGTH},
    ),
]
BatchKey = Annotated[
    str,
    Path(
        description="the batch's key",
        json_schema_extra={
            "minLength": 1,
            "maxLength": MAX_BATCH_KEY_LENGTH,
            "pattern": "^[!-~]([ -~]*[!-~])?$",
        },
    ),
]
WebhookName = Annotated[
    str,
    Path(
        description="the webhook's name in GATEWAY_WEBHOOKS_FILE",
        json_schema_extra={"minLength": 1, "maxLength": 60, "pattern": "^[a-z0-9][a-z0-9-]*$"},
    ),
]

_PROBLEMS: Final = {
    400: "The body is not valid JSON, or the Idempotency-Key is malformed",
    401: "No valid bearer token or signature",
    404: "Nothing has this id or key",
    408: "The request did not arrive in time",
    409: "Too late, or the key is in use",
    413: "The body is larger than 64 KB, or 32 MB of uploaded rows",
    415: "The Content-Type is not that of the body which is documented",
    422: "A field is invalid, or the key belongs to another request",
    429: "More requests a minute than allowed; see Retry-After",
    431: "The headers are larger than 32 KB, or more than 100",
    503: "Temporal does not answer or refuses, or too many requests at once; see Retry-After",
}
_OF_A_BODY: Final = (400, 401, 408, 413, 415, 422, 429, 431, 503)


def _header(description: str, **schema: Any) -> dict[str, Any]:
    return {"description": description, "required": True, "schema": {"type": "string"} | schema}


_LOCATION: Final = {"Location": _header("the same as `statusUrl`")}
_RETRY_AFTER: Final = {"Retry-After": _header("seconds", pattern="^[0-9]+$")}


def _answer(
    schema: str, description: str, headers: dict[str, Any] | None = None, **shown: Any
) -> dict[str, Any]:
    content = {
        "schema": {"$ref": REFERENCE.format(model=schema)},
        "examples": {name: {"value": value} for name, value in shown.items()},
    }
    answer = {"description": description, "content": {"application/json": content}}
    return answer | ({"headers": headers} if headers else {})


def _problem(status: int | None) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": REFERENCE.format(model="ProblemDetails")}}
    if status is None:
        return {"description": "Any other error", "content": {MEDIA_TYPE: content}}
    title = _PROBLEMS[status]
    content["example"] = {"type": "about:blank", "title": title, "status": status}
    problem = {"description": title, "content": {MEDIA_TYPE: content}}
    return problem | ({"headers": _RETRY_AFTER} if status in (429, 503) else {})


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: _problem(status) for status in statuses} | {"default": _problem(None)}


def _json_body(schema: dict[str, Any], shown: dict[str, Any] | None = None) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schema}
    if shown:
        content["examples"] = {name: {"value": value} for name, value in shown.items()}
    return {"required": True, "content": {"application/json": content}}


_PREFER: Final = {
    "name": "Prefer",
    "in": "header",
    "description": "wait=N: answer when the run is closed, at the latest after N seconds",
    "schema": {"type": "string", "maxLength": 1000},
    "example": "wait=10",
}
_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "1 to 200 printable ASCII characters, quoted or bare, not beginning with"
    " `batch-` or `webhook:`; one key is one run",
    "schema": {"type": "string", "minLength": 1, "maxLength": 402, "pattern": IDEMPOTENCY_KEY},
    "example": '"order-4711"',
}

_STARTED: Final = {
    202: _answer(
        "MessageState",
        "The run has started, or exists under this key",
        _LOCATION,
        running=examples.RUNNING,
    ),
    200: _answer(
        "MessageState",
        "The run is closed (Prefer: wait)",
        _LOCATION,
        accepted=examples.ACCEPTED,
        unknown=examples.UNKNOWN,
    ),
}

POST_MESSAGE: dict[str, Any] = {
    "operation_id": "send_message",
    "status_code": 202,
    "summary": "Send a message",
    "responses": _STARTED | _problems(*_OF_A_BODY),
    "openapi_extra": {
        "parameters": [_KEY, _PREFER],
        "requestBody": _json_body(message_schema(), examples.REQUESTS),
    },
}

GET_MESSAGE: dict[str, Any] = {
    "operation_id": "get_message",
    "summary": "Get the state of a message",
    "responses": {
        200: _answer(
            "MessageState",
            "The state, with `result` once the run is closed",
            running=examples.RUNNING,
            accepted=examples.ACCEPTED,
            unknown=examples.UNKNOWN,
        )
    }
    | _problems(401, 404, 429, 503),
}

DELETE_MESSAGE: dict[str, Any] = {
    "operation_id": "cancel_message",
    "summary": "Cancel a message",
    "responses": {
        200: _answer("MessageState", "Cancelled: nothing was sent", cancelled=examples.CANCELLED),
        202: _answer(
            "MessageState",
            "Cancellation is requested; the run has not ended yet",
            running=examples.RUNNING,
        ),
    }
    | _problems(401, 404, 409, 429, 503),
}

POST_WEBHOOK: dict[str, Any] = {
    "operation_id": "call_webhook",
    "status_code": 202,
    "summary": "Send what a declared webhook makes of the body",
    "responses": _STARTED
    | {204: {"description": "The webhook's condition does not hold: nothing is sent"}}
    | _problems(404, *_OF_A_BODY),
    "openapi_extra": {"parameters": [_PREFER], "requestBody": _json_body({})},
}

POST_BATCH: dict[str, Any] = {
    "operation_id": "start_batch",
    "status_code": 202,
    "summary": "Start a batch, or continue it",
    "responses": {
        202: _answer(
            "BatchState",
            "The batch has started, or exists under this key",
            _LOCATION,
            running=examples.BATCH_RUNNING,
        )
    }
    | _problems(409, *_OF_A_BODY),
    "openapi_extra": {
        "requestBody": _json_body({"$ref": REFERENCE.format(model="Batch")}, examples.BATCHES)
    },
}

_ROWS: Final = {
    "application/x-ndjson": '{"to": "+1234567890", "variables": {"name": "John Doe"}}\n',
    "text/csv": "to,name\n+1234567890,John Doe\n",
}

UPLOAD_ROWS: dict[str, Any] = {
    "operation_id": "upload_batch",
    "status_code": 202,
    "summary": "Start a batch with many rows, or continue it",
    "responses": POST_BATCH["responses"],
    "openapi_extra": {
        "parameters": upload_parameters(),
        "requestBody": {
            "required": True,
            "description": "The rows, up to 32 MB: on each line one of the JSON body's, or CSV."
            " Template variables of all rows are query parameters `variables.NAME`.",
            "content": {
                media_type: {"schema": {"type": "string"}, "example": example}
                for media_type, example in _ROWS.items()
            },
        },
    },
}


def _existing_batch(
    operation_id: str, summary: str, *, status: int = 200, report: bool = False
) -> dict[str, Any]:
    answer = (
        _answer("BatchReport", "The outcome of each row", report=examples.REPORT)
        if report
        else _answer("BatchState", "The state of the batch", running=examples.BATCH_RUNNING)
    )
    return {
        "operation_id": operation_id,
        "summary": summary,
        "status_code": status,
        "responses": {status: answer} | _problems(401, 404, 409, 429, 503),
    }


GET_BATCH = _existing_batch("get_batch", "Get the status of a batch")
GET_BATCH_REPORT = _existing_batch("get_batch_report", "Get the outcome of each row", report=True)
PAUSE_BATCH = _existing_batch("pause_batch", "Pause a batch: start no further row")
RESUME_BATCH = _existing_batch("resume_batch", "Resume a paused batch")
CANCEL_BATCH = _existing_batch("cancel_batch", "Cancel a batch", status=202)

READY: dict[str, Any] = {
    "operation_id": "readiness",
    "summary": "200 if a message could be started now; `warning` if the clocks differ",
    "responses": {
        200: _answer("Readiness", "A message could be started now", ready={"status": "ready"})
    }
    | _problems(503),
}
HEALTHY: dict[str, Any] = {
    "operation_id": "health",
    "summary": "200 while the process serves",
    "responses": {200: _answer("Health", "The process serves", ok={"status": "ok"})} | _problems(),
}
