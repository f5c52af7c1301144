"""The body of a batch over HTTP: content for all rows, and rows that may differ from it."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from send_whatsapp.contract.batch import (
    MAX_PER_MINUTE,
    MAX_ROWS,
    REJECTED,
    not_reserved,
)
from send_whatsapp.contract.fields import (
    Delivery,
    FileType,
    FileUrl,
    OptionalFlag,
    PhoneText,
    TemplateName,
    Text,
    Time,
    Variables,
    check_order,
)
from send_whatsapp.contract.model import Request
from send_whatsapp.contract.names import MAX_BATCH_KEY_LENGTH, MAX_KEY_LENGTH, InvalidKey, batch_id
from send_whatsapp.contract.send_window import SendWindow
from send_whatsapp.contract.validation import refusal


def _batch_key(value: str) -> str:
    try:
        batch_id(value)
    except InvalidKey as error:
        raise refusal(str(error), "a key such as jan-2027") from None
    return value


def _row_key(value: str) -> str:
    key = value.strip()
    if not key:
        raise refusal("contains only white space", "a key, or none")
    return key


def _per_minute(value: int) -> int:
    if not 1 <= value <= MAX_PER_MINUTE:
        raise refusal(
            "is too large" if value > 1 else "is too small",
            f"1 to {MAX_PER_MINUTE}; leave it out for no limit",
        )
    return value


HttpPerMinute = Annotated[
    int,
    AfterValidator(_per_minute),
    Field(json_schema_extra={"minimum": 1, "maximum": MAX_PER_MINUTE}),
]

BatchKey = Annotated[
    str,
    AfterValidator(_batch_key),
    AfterValidator(not_reserved),
    Field(
        description="the batch's idempotency key, printable ASCII",
        json_schema_extra={
            "minLength": 1,
            "maxLength": MAX_BATCH_KEY_LENGTH,
            "pattern": f"^(?!{REJECTED})[!-~]([ -~]*[!-~])?$",
        },
    ),
]


RowKey = Annotated[
    str,
    AfterValidator(_row_key),
    AfterValidator(not_reserved),
    Field(
        min_length=1,
        max_length=MAX_KEY_LENGTH,
        json_schema_extra={"pattern": rf"^(?!\s*{REJECTED})[\s\S]*\S"},
    ),
]


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

    to: PhoneText
    key: RowKey | None = Field(
        None, description="the row's own key; by default derived from the batch's key and `to`"
    )


class BatchOptions(BatchContent):
    """A batch without its rows: its key, the content of all rows, and how fast they are sent."""

    key: BatchKey
    delivery: Delivery = Field(
        "at_least_once", description="what to do if nobody can know whether a send went out"
    )
    in_order: OptionalFlag = Field(
        False, description="send each row only after earlier messages to its person have ended"
    )
    expires_at: Time | None = Field(None, description="do not send after this time (ISO 8601)")
    ignore_opt_out: OptionalFlag = Field(
        False, description="send even to people who have opted out, for example legal notices"
    )
    send_window: SendWindow | None = Field(
        None, description="send each row only between these times of a day"
    )
    per_minute: HttpPerMinute | None = Field(
        None, description="how many rows start in a minute; without it there is no limit"
    )
    pause_after: Annotated[int, Field(ge=1, le=MAX_ROWS)] = Field(
        20, description="how many failures in a row pause the batch"
    )
    send_at: Time | None = Field(None, description="start the batch at this time (ISO 8601)")
    resend_unknown: bool = Field(
        False, description="whether rows with an unknown outcome are sent again"
    )

    @model_validator(mode="after")
    def _starts_before_it_expires(self) -> Self:
        check_order(self.send_at, self.expires_at)
        return self


class BatchBody(BatchOptions):
    """A batch: its key, the content of all rows, the rows, and how fast they are sent."""

    rows: Annotated[list[BatchRecipient], Field(min_length=1)]
