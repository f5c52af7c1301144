"""Batches as callers see them: rows, request, state, and the outcome of each row."""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

from send_whatsapp.contract.fields import Time
from send_whatsapp.contract.model import Request
from send_whatsapp.contract.names import MAX_BATCH_KEY_LENGTH
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.contract.result import Outcome
from send_whatsapp.contract.validation import refusal

MAX_ROWS = 250_000
"""Rows under one key, a thousand parts."""

REJECTED = "line "
"""Prefix of the key of a row that was never sent, because the row itself is invalid."""

MAX_PER_MINUTE = 1_000_000

PerMinute = Annotated[int, Field(ge=1, le=MAX_PER_MINUTE)]


class BatchModel(BaseModel):
    """Base of what starters, batches and parts exchange: camelCase, unknown fields ignored."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True
    )


def _without_defaults(request: SendWhatsAppRequest) -> dict[str, Any]:
    return request.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def not_reserved(key: str) -> str:
    """Refuse a key of a row or a batch that begins like that of an invalid row."""
    # Earlier outcomes of rows with such a key would be forgotten, and the rows sent again.
    if key.startswith(REJECTED):
        raise refusal(f"begins with `{REJECTED}`", f"a key that does not begin with `{REJECTED}`")
    return key


class Row(Request):
    """One recipient: the line in the file, the row's key, and the request."""

    row: Annotated[int, Field(ge=1)]
    key: Annotated[str, Field(min_length=1, max_length=500), AfterValidator(not_reserved)]
    request: Annotated[SendWhatsAppRequest, PlainSerializer(_without_defaults)]


def _no_duplicates(rows: list[Row]) -> list[Row]:
    for name, values in (("row", [r.row for r in rows]), ("key", [r.key for r in rows])):
        if len(set(values)) != len(values):
            raise refusal(f"has the same {name} twice", f"a different {name} for each row")
    return rows


Rows = Annotated[list[Row], AfterValidator(_no_duplicates)]


class BatchRequest(Request):
    """What a caller writes to start a batch with all its rows in one call.

    `pause_after` consecutive failures within one part pause the batch; `per_minute` limits how many
    rows start in a minute (None: no limit). At most `in_flight` rows are in their first attempt at
    once. No row is sent before `send_at`.
    """

    key: Annotated[
        str, Field(min_length=1, max_length=MAX_BATCH_KEY_LENGTH), AfterValidator(not_reserved)
    ]
    rows: Annotated[Rows, Field(min_length=1)]
    in_flight: Annotated[int, Field(ge=1, le=1000)] = 100
    pause_after: Annotated[int, Field(ge=1)] = 20
    per_minute: PerMinute | None = None
    send_at: Time | None = None


class PerMinuteUpdate(BatchModel):
    """A new rate for a running batch, in rows started a minute; None: no limit."""

    per_minute: PerMinute | None = None


class RowOutcome(BatchModel):
    """The outcome of one row; `finished_at` is UTC, ISO 8601.

    `removed` marks a row of an earlier file under this key that is missing in the latest file.
    """

    row: int
    key: str
    to: str
    outcome: Outcome
    contact_id: str | None = None
    error_type: str | None = None
    error: str | None = None
    finished_at: str | None = None
    removed: bool = False


class Counts(BatchModel):
    """Rows by outcome; `running` are those that have not ended."""

    accepted: int = 0
    failed: int = 0
    unknown: int = 0
    cancelled: int = 0
    running: int = 0

    @classmethod
    def of(cls, rows: Iterable[RowOutcome]) -> Self:
        """Count these rows."""
        return cls(**Counter[str](row.outcome for row in rows))

    @property
    def ended(self) -> int:
        """Return how many rows have ended."""
        return self.accepted + self.failed + self.unknown + self.cancelled

    @property
    def total(self) -> int:
        """Return how many rows there are."""
        return self.ended + self.running

    @property
    def outcome(self) -> Outcome:
        """Return the outcome of all rows together: the worst that one of them has."""
        worst_first: tuple[Outcome, ...] = ("running", "unknown", "failed", "cancelled")
        for outcome in worst_first:
            if getattr(self, outcome):
                return outcome
        return "accepted"

    def __add__(self, other: "Counts") -> "Counts":
        """Return the rows of both."""
        return Counts(**{n: getattr(self, n) + getattr(other, n) for n in Counts.model_fields})

    def __sub__(self, other: "Counts") -> "Counts":
        """Return these rows without those of `other`, which they contain."""
        return Counts(**{n: getattr(self, n) - getattr(other, n) for n in Counts.model_fields})

    def summary(self) -> str:
        """Return the counts as text: `3 of 5: 2 accepted, 1 failed, 0 unknown`."""
        cancelled = f", {self.cancelled:,} cancelled" if self.cancelled else ""
        return (
            f"{self.ended:,} of {self.total:,}: {self.accepted:,} accepted, {self.failed:,} failed,"
            f" {self.unknown:,} unknown{cancelled}"
        )


class BatchState(BatchModel):
    """The state of a batch, and its result once it is closed.

    `generation` counts the starts under this key; `part_count` (in JSON: `parts`) is the number of
    parts. Nothing is sent until the batch is `complete`: every part has reached Temporal. Of the
    running rows, `in_queue` wait for their turn, `retrying` for another attempt, because of
    `retry_reason`, and `outside_window` for their send window, the first of them until
    `window_opens_at`. Since `idle_since` all rows wait for their window; `idle_s` are the seconds
    in which they did so before. No row is sent before `send_at`; rows are sent since `started_at`,
    before which `ended_before` rows had ended.
    """

    key: str
    generation: int
    counts: Counts = Counts()
    in_queue: int = 0
    retrying: int = 0
    retry_reason: str | None = None
    outside_window: int = 0
    window_opens_at: Time | None = None
    idle_since: Time | None = None
    idle_s: float = 0
    paused: bool = False
    pause_reason: str | None = None
    cancelled: bool = False
    complete: bool = False
    per_minute: int | None = None
    send_at: Time | None = None
    started_at: Time | None = None
    ended_before: int = 0
    part_count: int = Field(0, alias="parts")
