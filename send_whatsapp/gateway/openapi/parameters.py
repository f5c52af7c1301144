"""The parameters of the routes: parts of the path, headers, and the query of an upload."""

from typing import Annotated, Any, Final

from fastapi import Path

from send_whatsapp.contract.names import MAX_BATCH_KEY_LENGTH, MAX_ID_LENGTH
from send_whatsapp.gateway.openapi.schemas import component_schemas

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
PhoneNumber = Annotated[
    str,
    Path(
        description="phone number in any usual notation, for example +1234567890",
        json_schema_extra={"minLength": 1, "maxLength": 100},
    ),
]
WebhookName = Annotated[
    str,
    Path(
        description="the webhook's name in GATEWAY_WEBHOOKS_FILE",
        json_schema_extra={"minLength": 1, "maxLength": 60, "pattern": "^[a-z0-9][a-z0-9-]*$"},
    ),
]

PREFER: Final = {
    "name": "Prefer",
    "in": "header",
    "description": "wait=N: answer when the run is closed, at the latest after N seconds",
    # Others are ignored, as RFC 7240 says.
    "schema": {"type": "string"},
    "example": "wait=10",
}
KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "1 to 200 printable ASCII characters, quoted or bare, not beginning with"
    " `batch-` or `webhook:`; one key is one run",
    "schema": {"type": "string", "minLength": 1, "maxLength": 402, "pattern": IDEMPOTENCY_KEY},
    "example": '"order-4711"',
}


_NOT_IN_QUERY: Final = ("key", "rows", "variables", "sendWindow")


def upload_parameters() -> list[dict[str, Any]]:
    """Return the query parameters of an upload: the fields that a batch has beside its rows.

    OpenAPI cannot describe `variables.NAME=...`, whose names are free.
    """
    schemas = component_schemas()
    fields = schemas["Batch"]["properties"]
    window = schemas["SendWindow"]["properties"]
    fields = {
        **{name: field for name, field in fields.items() if name not in _NOT_IN_QUERY},
        **{f"sendWindow.{name}": field for name, field in window.items()},
    }
    return [
        {
            "name": name,
            "in": "query",
            "description": field["description"],
            "schema": {key: part for key, part in field.items() if key != "description"},
        }
        for name, field in fields.items()
    ]
