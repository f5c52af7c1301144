"""The body of a batch over HTTP: content for all rows, and rows that may differ from it."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from send_whatsapp.contract.batch import MAX_ROWS, REJECTED, PerMinute
from send_whatsapp.contract.fields import (
    Delivery,
    FileType,
    FileUrl,
    OptionalFlag,
    TemplateName,
    Text,
    Time,
    UnicodeText,
    Variables,
)
from send_whatsapp.contract.names import MAX_BATCH_KEY_LENGTH, MAX_KEY_LENGTH, InvalidKey, batch_id
from send_whatsapp.contract.request import Request
from send_whatsapp.contract.validation import refusal


def _batch_key(value: str) -> str:
    try:
        batch_id(value)
    except InvalidKey as error:
        raise refusal(str(error), "a key such as jan-2027") from None
    return _not_reserved(value)


def _row_key(value: str) -> str:
    key = value.strip()
    if not key:
        raise refusal("contains only white space", "a key, or none")
    return _not_reserved(key)


def _not_reserved(key: str) -> str:
    # Keys of rows, which begin with the batch's key, must differ from those of invalid rows.
    if key.startswith(REJECTED):
        raise refusal(f"begins with `{REJECTED}`", f"a key that does not begin with `{REJECTED}`")
    return key


BatchKey = Annotated[
    str,
    AfterValidator(_batch_key),
    Field(
        description="the batch's idempotency key, printable ASCII",
        json_schema_extra={
            "minLength": 1,
            "maxLength": MAX_BATCH_KEY_LENGTH,
            "pattern": "^[!-~]([ -~]*[!-~])?$",
        },
    ),
]


RowKey = Annotated[str, AfterValidator(_row_key), Field(min_length=1, max_length=MAX_KEY_LENGTH)]


class BatchContent(Request):
    """The content of all rows, or what one row has instead of it.

    Neither must be a complete request: each row is checked as one together with the content of all
    rows, by `SendWhatsAppRequest`.
    """

    message: Text | None = Field(None, description="free text; beside template the fallback text")
    template: TemplateName | None = Field(None, description="template name")
    variables: Variables | None = Field(None, description="template variables by name")
    file_url: FileUrl | None = Field(None, description="http(s) URL of a file on a public host")
    file_type: FileType | None = Field(None, description="kind of file")


class BatchRecipient(BatchContent):
    """One row: a phone number, and what is different from the content of all rows."""

    to: UnicodeText = Field(
        description="phone number in any usual notation, for example +1234567890"
    )
    key: RowKey | None = Field(
        None, description="the row's own key; by default derived from the batch's key and `to`"
    )


class BatchBody(BatchContent):
    """A batch: its key, the content of all rows, the rows, and how fast they are sent."""

    key: BatchKey
    rows: Annotated[list[BatchRecipient], Field(min_length=1)]
    delivery: Delivery = Field(
        "at_least_once", description="what to do if nobody can know whether a send went out"
    )
    in_order: OptionalFlag = Field(
        False, description="send each row only after earlier messages to its person have ended"
    )
    expires_at: Time | None = Field(None, description="do not send after this time (ISO 8601)")
    per_minute: PerMinute | None = Field(None, description="how many rows start in a minute")
    pause_after: Annotated[int, Field(ge=1, le=MAX_ROWS)] = Field(
        20, description="how many failures in a row pause the batch"
    )
    resend_unknown: bool = Field(
        False, description="whether rows with an unknown outcome are sent again"
    )


def batch_body_schema() -> dict[str, Any]:
    """Return the JSON Schema of a batch body, without references, as OpenAPI needs it."""
    schema = BatchBody.model_json_schema(by_alias=True)
    schema["properties"]["rows"]["items"] = schema.pop("$defs")["BatchRecipient"]
    return schema
