"""What the OpenAPI document says about each route: bodies, answers and problems."""

from typing import Any, Final

from send_whatsapp.gateway.openapi import examples
from send_whatsapp.gateway.openapi.parameters import KEY, PREFER, upload_parameters
from send_whatsapp.gateway.openapi.schemas import REFERENCE, message_schema
from send_whatsapp.gateway.problems import MEDIA_TYPE

_PROBLEMS: Final = {
    400: "The body is not valid JSON, or the Idempotency-Key is malformed",
    401: "No valid bearer token or signature",
    403: "This caller lacks the permission, or may not send this content",
    404: "Nothing that this caller sees has this id or key",
    408: "The request did not arrive in time",
    409: "Too late, or the key is in use",
    413: "The body is larger than 64 KB, or 32 MB of uploaded rows",
    415: "The Content-Type is not that of the body which is documented",
    422: "A field is invalid, or the key belongs to another request",
    429: "More requests a minute than allowed; see Retry-After",
    431: "The headers are larger than 32 KB, or more than 100",
    503: "Temporal does not answer or refuses, or too many requests at once; see Retry-After",
}
_OF_A_BODY: Final = (400, 401, 403, 408, 413, 415, 422, 429, 431, 503)


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
    "responses": _STARTED | _problems(409, *_OF_A_BODY),
    "openapi_extra": {
        "parameters": [KEY, PREFER],
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
    | _problems(401, 403, 404, 429, 503),
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
    | _problems(401, 403, 404, 409, 429, 503),
}

POST_WEBHOOK: dict[str, Any] = {
    "operation_id": "call_webhook",
    "status_code": 202,
    "summary": "Send what a declared webhook makes of the body",
    "responses": _STARTED
    | {204: {"description": "The webhook's condition does not hold: nothing is sent"}}
    | _problems(404, 409, *_OF_A_BODY),
    "openapi_extra": {"parameters": [PREFER], "requestBody": _json_body({})},
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
        "responses": {status: answer} | _problems(401, 403, 404, 409, 429, 503),
    }


GET_BATCH = _existing_batch("get_batch", "Get the status of a batch")
GET_BATCH_REPORT = _existing_batch("get_batch_report", "Get the outcome of each row", report=True)
PAUSE_BATCH = _existing_batch("pause_batch", "Pause a batch: start no further row")
RESUME_BATCH = _existing_batch("resume_batch", "Resume a paused batch")
CANCEL_BATCH = _existing_batch("cancel_batch", "Cancel a batch", status=202)

_CHANGE_STARTED: Final = {
    202: _answer("OptOutState", "The change has started", running=examples.OPT_OUT_RUNNING),
    200: _answer("OptOutState", "The change is closed (Prefer: wait)", done=examples.OPT_OUT_DONE),
}

POST_OPT_OUT: dict[str, Any] = {
    "operation_id": "opt_out",
    "status_code": 202,
    "summary": "Record that a person does not want messages",
    "responses": _CHANGE_STARTED | _problems(*_OF_A_BODY),
    "openapi_extra": {
        "parameters": [PREFER],
        "requestBody": _json_body(
            {"$ref": REFERENCE.format(model="OptOut")}, {"number": {"to": "+1234567890"}}
        ),
    },
}

DELETE_OPT_OUT: dict[str, Any] = {
    "operation_id": "opt_in",
    "status_code": 202,
    "summary": "Record that a person wants messages again",
    "responses": _CHANGE_STARTED | _problems(400, 401, 422, 429, 503),
    "openapi_extra": {"parameters": [PREFER]},
}

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
