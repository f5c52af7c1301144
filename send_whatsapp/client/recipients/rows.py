"""Rows of a batch from what a file or a caller gives: each sound, with a key, once for a person."""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import ValidationError

from send_whatsapp.contract.batch import REJECTED, Row, RowOutcome
from send_whatsapp.contract.errors import ErrorType, utc
from send_whatsapp.contract.fields import FALLBACK_VARIABLE
from send_whatsapp.contract.phone import InvalidPhoneNumber, to_e164
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.contract.validation import problems

FIELDS = ("message", "template", "fileUrl", "fileType")
"""Columns of a row beside `to` and `key`; every other one is a variable."""

Cells = dict[str, Any]


class Duplicates(StrEnum):
    """What to do with two rows for one person."""

    REFUSE = "refuse"
    FIRST = "first"
    LAST = "last"


class WrongRow(ValueError):
    """A row that cannot be sent: where it stands, which error type, and why."""

    def __init__(self, row: int, to: str, type_: str, why: str) -> None:
        """Name the line and what is wrong with it."""
        super().__init__(f"line {row}: {why}")
        self.row, self.type, self.why = row, type_, why
        # What is no valid Unicode could not be reported.
        self.to = to.encode(errors="replace").decode()

    def outcome(self) -> RowOutcome:
        """Return what the report says of it where it is left out."""
        return RowOutcome(
            row=self.row,
            key=f"{REJECTED}{self.row}",
            to=self.to,
            outcome="failed",
            error_type=self.type,
            error=self.why,
            finished_at=utc(datetime.now(UTC)),
        )


def rows_of(
    cells: Sequence[tuple[int, Cells | WrongRow]],
    common: Cells,
    batch_key: str,
    region: str,
) -> tuple[list[Row], list[WrongRow]]:
    """Return the rows that can be sent, each with its key, and those that cannot.

    A row's own cell wins over what is common to all.
    """
    good: list[Row] = []
    bad: list[WrongRow] = []
    for number, found in cells:
        if isinstance(found, WrongRow):
            bad.append(found)
            continue
        to = str(found.get("to") or "").strip()
        try:
            request = SendWhatsAppRequest.model_validate(_request(found, common))
            key = str(found.get("key") or "").strip() or derived_key(batch_key, to_e164(to, region))
            good.append(Row(row=number, key=key, request=request))
        except InvalidPhoneNumber as error:
            bad.append(WrongRow(number, to, ErrorType.INVALID_PHONE_NUMBER, f"to: {error}"))
        except ValidationError as error:
            why = "; ".join(f"{p.field} {p.problem}" for p in problems(error))
            bad.append(WrongRow(number, to, ErrorType.INVALID_REQUEST, why))
    return good, bad


def _request(cells: Cells, common: Cells) -> Cells:
    own = {name: cells[name] for name in FIELDS if cells.get(name) not in (None, "")}
    variables = {
        name: value
        for name, value in cells.items()
        if name not in (*FIELDS, "to", "key") and value not in (None, "")
    }
    # A row with a content of its own leaves that of the flags, unless it is the template's text.
    left = _TEXTS if "fileUrl" in own else _FILE if own.keys() & {"message", "template"} else ()
    shared = {name: value for name, value in common.items() if name not in left}
    fields: Cells = {"to": str(cells.get("to") or ""), **shared, **own}
    if not fields.get("template"):
        # Other columns of a file are nobody's variables; a fallback is a mistake worth naming.
        variables = {n: v for n, v in variables.items() if n == FALLBACK_VARIABLE}
    fields["variables"] = (shared.get("variables") or {}) | variables or None
    return fields


_TEXTS = ("message", "template", "variables")
_FILE = ("fileUrl", "fileType")


def each_person_once(
    rows: list[Row], batch_key: str, region: str, duplicates: Duplicates
) -> tuple[list[Row], list[tuple[int, int]]]:
    """Return the rows without a second one for a person or key, and the pairs of lines that clash.

    Two rows for one person are meant as two messages where both have keys of their own.
    """
    kept: dict[str, Row] = {}
    people: dict[str, Row] = {}
    clashes = []
    for row in rows:
        person = to_e164(row.request.to, region)
        derived = derived_key(batch_key, person)
        before = kept.get(row.key)
        other = people.get(person)
        if before is None and other and derived in (row.key, other.key):
            before = other
        if before is not None:
            clashes.append((before.row, row.row))
            if duplicates != Duplicates.LAST:
                continue
            kept.pop(before.key, None)
        kept[row.key] = people[person] = row
    return list(kept.values()), clashes


def derived_key(batch_key: str, number: str) -> str:
    """Return the key of a row that has none of its own; `number` is E.164."""
    return f"{batch_key}/{number}"
