"""Parts of a batch: how rows are split, and what starter, batch and parts send each other."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from send_whatsapp.contract.batch import BatchModel, BatchRequest, Counts, Row, RowOutcome, Rows
from send_whatsapp.contract.errors import invalid_request
from send_whatsapp.contract.fields import Time
from send_whatsapp.contract.model import Request
from send_whatsapp.contract.part_signals import Flows, PartProgress
from send_whatsapp.contract.validation import problems, refusal

MAX_PART_ROWS = 250
"""Rows of one part: each costs up to 11 events, and the server warns at 10,240 (ADR 0004)."""

MAX_PART_BYTES = 400_000
"""JSON of one part's rows, far below the server's limit of 2 MB for one payload."""

MAX_ROW_BYTES = 100_000
"""JSON of one row: far more than a valid text needs, and several rows fit one part."""

MAX_KNOWN = 1000
"""Rows of one part that are not sent, because their outcome is known already."""

Item = TypeVar("Item")

_ROWS: TypeAdapter[list[Row]] = TypeAdapter(Rows)


def _as_json(rows: Any) -> Any:
    if isinstance(rows, list):
        return json.dumps(
            [
                row.model_dump(mode="json", by_alias=True) if isinstance(row, Row) else row
                for row in rows
            ]
        )
    return rows


class PartRequest(Request):
    """Input of one part: rows to send, and rows whose outcome is known already.

    `send_at` is the time at which the batch will let the part start, if the batch starts later.
    `rows` is a list in JSON. In memory it stays JSON text, `rows_json`, a tenth of the objects'
    size: the parts of a long batch wait in the workers' memory until they may start.
    """

    rows_json: Annotated[str, BeforeValidator(_as_json), PlainSerializer(json.loads)] = Field(
        "[]", alias="rows"
    )
    known: list[RowOutcome] = Field(default_factory=list)
    send_at: Time | None = None

    @classmethod
    def of(cls, rows: list[Row], send_at: datetime | None = None) -> Self:
        """Return the part that sends these rows."""
        return cls.model_validate({"rows": rows, "send_at": send_at})

    def unpacked(self) -> list[Row]:
        """Return the rows to send. Raises the failure `InvalidRequest`."""
        try:
            return _ROWS.validate_json(self.rows_json)
        except ValidationError as error:
            raise invalid_request(problems(error)) from None

    @property
    def last_digits(self) -> list[str]:
        """The last four digits of each number (E.164) that the part sends to, each once."""
        return sorted({row["request"]["to"][-4:] for row in json.loads(self.rows_json)})

    @property
    def counts(self) -> Counts:
        """The rows by outcome before the part starts."""
        return Counts.of(self.known) + Counts(running=len(json.loads(self.rows_json)))


class BatchCheckpoint(BatchModel):
    """What a batch hands to its next run when it continues as new.

    Of the `started_parts` some are `running`, by their ids; `ended` counts the rows of the others.
    `sequence` is the number of the last control message; `resumes` counts the resumes.
    `opened_until` is the latest opening time that has come. Since `idle_since` all rows wait for
    their send windows; `idle_s` are the seconds in which they did so before.
    """

    model_config = ConfigDict(frozen=False)

    started_parts: int = 0
    running: dict[str, PartProgress] = Field(default_factory=dict)
    ended: Counts = Counts()
    sequence: int = 0
    per_minute: int | None = None
    paused: bool = False
    resumes: int = 0
    pause_reason: str | None = None
    cancelled: bool = False
    complete: bool = False
    started_at: Time | None = None
    flows: Flows | None = None
    opened_until: Time | None = None
    idle_since: Time | None = None
    idle_s: float = 0


class BatchInput(BatchRequest):
    """Input of the batch workflow: a `BatchRequest`, or `parts` that the starter starts itself.

    A starter with many rows starts the batch with the counts of each part, then every part (with
    the id of `part_id`), then sends the signal `complete`; nothing is sent before. `digest`
    identifies the rows, `templates` are looked up once for all rows.
    """

    rows: Rows = Field(default_factory=list)
    parts: list[Counts] = Field(default_factory=list)
    generation: Annotated[int, Field(ge=1)] = 1
    digest: str = ""
    templates: list[str] = Field(default_factory=list)
    checkpoint: BatchCheckpoint | None = None

    @model_validator(mode="after")
    def _rows_or_parts(self) -> Self:
        if bool(self.rows) == bool(self.parts):
            problem = "cannot be combined with parts" if self.rows else "is missing"
            raise refusal(problem, "at least one row, or parts", "rows")
        return self

    @property
    def planned_parts(self) -> list[Counts]:
        """The rows of each part by outcome, before the parts start."""
        return self.parts or [part.counts for part in split(self.rows)]

    @property
    def planned_rows(self) -> int:
        """How many rows all parts have together."""
        return sum(part.total for part in self.planned_parts)


def row_bytes(row: Row) -> int:
    """Return the size of a row's JSON in bytes."""
    return len(row.model_dump_json(by_alias=True).encode())


def is_full(count: int, size: int, more: int, most: int = MAX_PART_ROWS) -> bool:
    """Return whether a part with `count` items of `size` bytes has no place for `more` bytes."""
    return count == most or size + more > MAX_PART_BYTES


def split(
    rows: list[Row], known: list[RowOutcome] | None = None, send_at: datetime | None = None
) -> list[PartRequest]:
    """Return parts within the limits above: first those that send `rows`, then those of `known`.

    Rows that take turns of the same person are in one part if it has room, which sends them in the
    order of the file.
    """
    return [
        *(
            PartRequest.of(group, send_at)
            for group in _groups(rows, row_bytes, MAX_PART_ROWS, _in_turn)
        ),
        *(PartRequest(known=group) for group in _groups(known or [], _outcome_bytes, MAX_KNOWN)),
    ]


def _in_turn(row: Row) -> str | None:
    """Return the person whose turns a row takes, if it takes one."""
    return row.request.to if row.request.takes_turn else None


def _outcome_bytes(outcome: RowOutcome) -> int:
    return len(outcome.model_dump_json(by_alias=True).encode())


def _groups(
    items: list[Item],
    size_of: Callable[[Item], int],
    most: int,
    together: Callable[[Item], str | None] = lambda _: None,
) -> list[list[Item]]:
    """Return the items in groups, in their order; those `together` share one if it has room."""
    units: dict[str | int, list[int]] = {}
    for index, item in enumerate(items):
        units.setdefault(together(item) or index, []).append(index)
    groups: list[list[int]] = []
    size = 0
    for unit in units.values():
        sizes = [size_of(items[index]) for index in unit]
        fits = bool(groups) and (
            len(groups[-1]) + len(unit) <= most and size + sum(sizes) <= MAX_PART_BYTES
        )
        for number, (index, length) in enumerate(zip(unit, sizes, strict=True)):
            full = not groups or is_full(len(groups[-1]), size, length, most)
            if full or (number == 0 and not fits):
                groups.append([])
                size = 0
            groups[-1].append(index)
            size += length
    return [[items[index] for index in sorted(group)] for group in groups]
