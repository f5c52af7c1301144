"""Batches: what starter, parent and parts say to each other, and how each row ended."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from contract.request import Request, SendWhatsAppRequest
from contract.result import Outcome

MAX_PART_ROWS = 250
"""Rows of one part: each costs up to 10 events, and the server warns at 10,240."""

MAX_PART_BYTES = 400_000
"""JSON of one part's rows, far below the server's limit of 2 MB for one payload."""

MAX_ROWS = 40_000
"""Rows of one batch; the parent's history holds them all once, and the server warns at 10 MB."""

REJECTED = "line "
"""Begins the key of a row that was left out because it is wrong in itself."""


class _Message(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True
    )


class Row(Request):
    """One recipient: the line of the file it stands in, its own key, and its request."""

    row: int
    key: str
    request: SendWhatsAppRequest


class BatchRequest(Request):
    """Start of a batch's run; the rows follow in chunks, by the update `add`."""

    key: str
    generation: int = 1
    in_flight: Annotated[int, Field(ge=1, le=1000)] = 100
    earlier_parts: list[str] = Field([], description="parts of the runs before, oldest first")


class RowOutcome(_Message):
    """How one row ended; `finished_at` is UTC, ISO 8601."""

    row: int
    key: str
    to: str
    outcome: Outcome
    contact_id: str | None = None
    error_type: str | None = None
    error: str | None = None
    finished_at: str | None = None


class PartRequest(Request):
    """Start of one part."""

    rows: list[Row]
    rejected: list[RowOutcome] = Field(default_factory=list)
    flows: dict[str, dict[str, str | None]] = Field(default_factory=dict)
    in_flight: int = 25
    paused: bool = False
    cancelled: bool = False


class Chunk(Request):
    """Rows for one part; `number` counts from 0, so that a chunk given twice is taken once."""

    number: int
    rows: list[Row]
    rejected: list[RowOutcome] = Field(default_factory=list)
    digest: str


class Counts(_Message):
    """Rows by outcome; `running` are those that have not ended."""

    accepted: int = 0
    failed: int = 0
    unknown: int = 0
    cancelled: int = 0
    running: int = 0

    @property
    def ended(self) -> int:
        """Return how many rows have ended."""
        return self.accepted + self.failed + self.unknown + self.cancelled

    @property
    def total(self) -> int:
        """Return how many rows there are."""
        return self.ended + self.running

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


class PartProgress(_Message):
    """What a part tells its parent from time to time."""

    part: str
    counts: Counts
    pause_reason: str | None = None


class BatchState(_Message):
    """How a batch's run stands, and its result when it is closed."""

    key: str
    generation: int
    counts: Counts = Counts()
    paused: bool = False
    pause_reason: str | None = None
    cancelled: bool = False
    complete: bool = False
    chunks: int = 0
    parts: list[str] = []
