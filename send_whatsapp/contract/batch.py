"""Batches: what starter, batch and parts say to each other, and how each row ended."""

import json
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from send_whatsapp.contract.errors import invalid_request
from send_whatsapp.contract.request import Request, SendWhatsAppRequest
from send_whatsapp.contract.result import Outcome
from send_whatsapp.contract.validation import problems

MAX_PART_ROWS = 250
"""Rows of one part: each costs up to 11 events, and the server warns at 10,240 (ADR 0004)."""

MAX_PART_BYTES = 400_000
"""JSON of one part's rows, far below the server's limit of 2 MB for one payload."""

MAX_KNOWN = 1000
"""Rows of one part that are not sent, since their outcome is known already."""

MAX_ROWS = 250_000
"""Rows under one key, a thousand parts."""

REJECTED = "line "
"""Begins the key of a row that was left out because it is wrong in itself."""

PerMinute = Annotated[int, Field(ge=1, le=1_000_000)]


class _Message(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True
    )


def _without_defaults(request: SendWhatsAppRequest) -> dict[str, Any]:
    return request.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _each_once(rows: "list[Row]") -> "list[Row]":
    for name, values in (("row", [r.row for r in rows]), ("key", [r.key for r in rows])):
        if len(set(values)) != len(values):
            raise PydanticCustomError(
                "request",
                "{problem}",
                {"problem": f"gives one {name} twice", "expected": f"a {name} of its own for each"},
            )
    return rows


class Row(Request):
    """One recipient: the line of the file it stands in, its own key, and its request."""

    row: Annotated[int, Field(ge=1)]
    key: Annotated[str, Field(min_length=1, max_length=500)]
    request: Annotated[SendWhatsAppRequest, PlainSerializer(_without_defaults)]


Rows = Annotated[list[Row], AfterValidator(_each_once)]
_ROWS: TypeAdapter[list[Row]] = TypeAdapter(Rows)


class RowOutcome(_Message):
    """How one row ended; `finished_at` is UTC, ISO 8601.

    `former` marks a row of an earlier file under this key that the latest one no longer has.
    """

    row: int
    key: str
    to: str
    outcome: Outcome
    contact_id: str | None = None
    error_type: str | None = None
    error: str | None = None
    finished_at: str | None = None
    former: bool = False


class Counts(_Message):
    """Rows by outcome; `running` are those that have not ended."""

    accepted: int = 0
    failed: int = 0
    unknown: int = 0
    cancelled: int = 0
    running: int = 0

    @classmethod
    def of(cls, outcomes: list[Outcome]) -> Self:
        """Count these."""
        return cls(**{name: outcomes.count(name) for name in cls.model_fields})  # type: ignore[arg-type]

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
        """Return both together."""
        return Counts(**{n: getattr(self, n) + getattr(other, n) for n in Counts.model_fields})

    def words(self) -> str:
        """Return the progress in words."""
        cancelled = f", {self.cancelled:,} cancelled" if self.cancelled else ""
        return (
            f"{self.ended:,} of {self.total:,}: {self.accepted:,} accepted, {self.failed:,} failed,"
            f" {self.unknown:,} unknown{cancelled}"
        )


def _packed(rows: Any) -> Any:
    if isinstance(rows, list):
        return json.dumps(
            [
                row.model_dump(mode="json", by_alias=True) if isinstance(row, Row) else row
                for row in rows
            ]
        )
    return rows


class PartRequest(Request):
    """Start of one part: rows to be sent, and those of the file whose outcome is known already.

    A list of rows in JSON; in memory its text alone, a tenth of the objects' size, since the parts
    of a long batch wait in the workers' memory until it is their turn.
    """

    rows: Annotated[str, BeforeValidator(_packed), PlainSerializer(json.loads)] = "[]"
    known: list[RowOutcome] = Field(default_factory=list)

    @classmethod
    def of(cls, rows: "list[Row]") -> Self:
        """Return the part that sends these rows."""
        return cls.model_validate({"rows": rows})

    def unpacked(self) -> "list[Row]":
        """Return the rows; raise the failure `InvalidRequest`."""
        try:
            return _ROWS.validate_json(self.rows)
        except ValidationError as error:
            raise invalid_request(problems(error)) from None

    @property
    def counts(self) -> Counts:
        """Return how the part stands before it begins."""
        known = Counts.of([known.outcome for known in self.known])
        return known + Counts(running=len(json.loads(self.rows)))


class PartControl(_Message):
    """How a part is to go on; the first one begins it, and a late one with a lower number is void.

    `in_flight` rows at once, `per_minute` begun (None: no limit); `flows` of the batch's templates.
    """

    batch: str
    number: int
    in_flight: int = 50
    per_minute: float | None = None
    pause_after: int = 20
    paused: bool = False
    resumes: int = 0
    cancelled: bool = False
    flows: dict[str, dict[str, str | None]] = {}


class PartProgress(_Message):
    """What a part tells its batch from time to time, and when it has `ended`.

    `waiting` are the running rows that have not begun.
    """

    part: str
    counts: Counts
    waiting: int = 0
    pause_reason: str | None = None
    ended: bool = False


class BatchCheckpoint(_Message):
    """How far a batch is, which it takes along when it continues as a new run.

    `begun` parts of all, of which some are `running` and the others have `ended`; `told` and
    `resumes` count what parts were told and how often the batch was resumed.
    """

    model_config = ConfigDict(frozen=False)

    begun: int = 0
    running: dict[str, PartProgress] = Field(default_factory=dict)
    ended: Counts = Counts()
    told: int = 0
    per_minute: int | None = None
    paused: bool = False
    resumes: int = 0
    pause_reason: str | None = None
    cancelled: bool = False
    complete: bool = False
    flows: dict[str, dict[str, str | None]] | None = None


class BatchRequest(Request):
    """Start of a batch: either `rows` in full, or `parts` that the starter hands over itself.

    A starter with many rows starts this run, then each part (as `part_id` names it), then sends
    the signal `complete`; nothing goes out before. `digest` tells files apart.
    """

    key: Annotated[str, Field(min_length=1, max_length=100)]
    rows: Rows = Field(default_factory=list, description="all rows, where they fit one start")
    parts: list[Counts] = Field(default_factory=list, description="what each part holds")
    generation: Annotated[int, Field(ge=1)] = 1
    digest: str = ""
    templates: list[str] = Field(default_factory=list, description="looked up once for all rows")
    in_flight: Annotated[int, Field(ge=1, le=1000)] = 100
    pause_after: Annotated[int, Field(ge=1)] = 20
    per_minute: PerMinute | None = Field(None, description="rows begun in a minute")
    carried: BatchCheckpoint | None = None

    @model_validator(mode="after")
    def _has_rows(self) -> Self:
        if bool(self.rows) == bool(self.parts):
            problem = "stand beside parts" if self.rows else "are missing"
            raise PydanticCustomError(
                "request",
                "{problem}",
                {"problem": problem, "expected": "at least one row, or parts", "field": "rows"},
            )
        return self

    @property
    def planned(self) -> list[Counts]:
        """Return what each part holds, told or cut from the rows."""
        return self.parts or [part.counts for part in split(self.rows, [])]

    @property
    def rows_planned(self) -> int:
        """Return how many rows all parts hold together."""
        return sum(part.total for part in self.planned)


class PerMinuteUpdate(_Message):
    """Another rate for a running batch, in rows begun a minute; None for no limit."""

    per_minute: PerMinute | None = None


class BatchState(_Message):
    """How a batch stands, and its result when it is closed; `parts` is how many it has."""

    key: str
    generation: int
    counts: Counts = Counts()
    paused: bool = False
    pause_reason: str | None = None
    cancelled: bool = False
    complete: bool = False
    per_minute: int | None = None
    parts: int = 0


def split(rows: list[Row], known: list[RowOutcome]) -> list[PartRequest]:
    """Return the rows as parts that no payload or history limit minds."""
    whole: list[list[Row]] = []
    size = 0
    for row in rows:
        length = len(row.model_dump_json(by_alias=True).encode())
        if not whole or len(whole[-1]) == MAX_PART_ROWS or size + length > MAX_PART_BYTES:
            whole.append([])
            size = 0
        whole[-1].append(row)
        size += length
    return [PartRequest.of(part) for part in whole] + [
        PartRequest(known=known[start : start + MAX_KNOWN])
        for start in range(0, len(known), MAX_KNOWN)
    ]
