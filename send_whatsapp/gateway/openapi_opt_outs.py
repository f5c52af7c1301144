"""What the OpenAPI document says about the routes of opt-outs."""

from typing import Any

from send_whatsapp.gateway import openapi

_STARTED: dict[int, Any] = {
    202: {"description": "The change has started"},
    200: {"description": "The change has ended (Prefer: wait): done or failed"},
}

POST_OPT_OUT: dict[str, Any] = {
    "status_code": 202,
    "dependencies": openapi.WITH_TOKEN,
    "summary": "Remember that a person does not want messages",
    "responses": _STARTED | openapi.problems(400, 401, 408, 413, 415, 422, 429, 431, 503),
    "openapi_extra": {
        "parameters": [openapi.PREFER],
        "requestBody": openapi.json_body(
            {
                "type": "object",
                "properties": {"to": {"type": "string"}},
                "required": ["to"],
                "additionalProperties": False,
            },
            number={"to": "+1234567890"},
        ),
    },
}

DELETE_OPT_OUT: dict[str, Any] = {
    "status_code": 202,
    "dependencies": openapi.WITH_TOKEN,
    "summary": "Remember that a person wants messages again",
    "responses": _STARTED | openapi.problems(401, 422, 429, 503),
    "openapi_extra": {"parameters": [openapi.PREFER]},
}
