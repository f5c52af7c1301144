"""The send window of a request: from when until when on a clock, and on whose clock."""

import re
from importlib import resources
from typing import Annotated, Final, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from send_whatsapp.contract.model import Request
from send_whatsapp.contract.validation import refusal

RECIPIENT: Final = "recipient"
"""The zone that follows from the recipient's phone number."""

TIME_OF_DAY: Final = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"

# Read when this module is imported, because a workflow must not read files. The names never leave
# the database, so a replay accepts what the run has accepted.
_ZONES: Final = frozenset((resources.files("tzdata") / "zones").read_text().split())


def _time_of_day(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(TIME_OF_DAY, value, re.ASCII):
        problem = "is not a time of day" if isinstance(value, str) else "is not text"
        raise refusal(problem, "hours and minutes from 00:00 to 23:59, such as 09:00")
    return value


def _zone(value: str) -> str:
    if value != RECIPIENT and value not in _ZONES:
        raise refusal(
            "is not a known time zone",
            f"{RECIPIENT}, or a name of the IANA time zone database such as Asia/Jerusalem",
        )
    return value


TimeOfDay = Annotated[
    str,
    BeforeValidator(_time_of_day),
    WithJsonSchema({"type": "string", "pattern": TIME_OF_DAY}),
]

Zone = Annotated[
    str,
    AfterValidator(_zone),
    BeforeValidator(lambda value: RECIPIENT if value is None else value),
    WithJsonSchema(
        {"type": ["string", "null"], "pattern": r"^[A-Za-z0-9_+/-]+$", "maxLength": 64},
        mode="validation",
    ),
]
"""A time zone; null means that of the recipient."""


class SendWindow(Request):
    """When a message may be sent: each day from `from` until `to`.

    In Python the first field is called `from_`. A window whose end is before its start spans
    midnight.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "description": "the times of a day between which a message may be sent; `to` before"
            " `from` is a time on the next day"
        }
    )

    from_: TimeOfDay = Field(alias="from", description="from this time on, for example 09:00")
    to: TimeOfDay = Field(description="until this time, for example 20:00")
    zone: Zone = Field(
        RECIPIENT, description="recipient (default): by the phone number; or an IANA time zone"
    )

    @model_validator(mode="after")
    def _is_not_empty(self) -> Self:
        if self.from_ == self.to:
            raise refusal("is the same time as from", "another time than from", "to")
        return self

    def __str__(self) -> str:
        """Return the window as text for people."""
        where = "the recipient's time zone" if self.zone == RECIPIENT else self.zone
        return f"{self.from_} to {self.to} in {where}"
