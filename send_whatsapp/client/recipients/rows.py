"""Checks the rows of a batch: each must be a valid request with a key, one row for each person."""

from collections.abc import Sequence
from enum import StrEnum

from pydantic import ValidationError

from send_whatsapp.client.recipients.cells import Cells, UnusableCell, WrongRow, wrong_row
from send_whatsapp.client.recipients.row_fields import (
    EmptyCells,
    phone_number,
    plain_text,
    request_fields,
)
from send_whatsapp.contract.batch import Row
from send_whatsapp.contract.errors import ErrorType, FieldProblem
from send_whatsapp.contract.parts import MAX_ROW_BYTES, row_bytes
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.contract.validation import problems


class Duplicates(StrEnum):
    """What to do with two rows for the same person."""

    REFUSE = "refuse"
    FIRST = "first"
    LAST = "last"


def rows_of(
    cells: Sequence[tuple[int, Cells | WrongRow]],
    common: Cells,
    batch_key: str,
    region: str,
    empty_cells: EmptyCells = EmptyCells.REFUSE,
) -> tuple[list[Row], list[WrongRow]]:
    """Return the rows that can be sent, each with its key and E.164 number, and those that cannot.

    `common` holds the fields that all rows share; a row's own cell wins. `region` (ISO 3166) is
    the one whose rules a number without `+` is read by.
    """
    good: list[Row] = []
    wrong: list[WrongRow] = []
    for number, row in cells:
        checked = (
            row
            if isinstance(row, WrongRow)
            else _checked(number, row, common, batch_key, region, empty_cells)
        )
        if isinstance(checked, Row):
            good.append(checked)
        else:
            wrong.append(checked)
    return good, wrong


def _checked(
    number: int,
    cells: Cells,
    common: Cells,
    batch_key: str,
    region: str,
    empty_cells: EmptyCells,
) -> Row | WrongRow:
    to, wrong_number = phone_number(cells, region)
    fields, found = request_fields(cells, common, empty_cells)
    key = plain_text(cells.get("key"))
    if isinstance(key, UnusableCell):
        found.append(FieldProblem(field="key", problem=key.problem, expected=key.expected))
        key = ""
    if not found:
        try:
            request = SendWhatsAppRequest.model_validate(fields | {"to": to})
            derived = derived_key(batch_key, "" if wrong_number else to)
            row = Row(row=number, key=key.strip() or derived, request=request)
        except ValidationError as error:
            found = problems(error)
        else:
            found = _too_large(row)
            if not wrong_number and not found:
                return row
    if wrong_number:
        found = [wrong_number, *(problem for problem in found if problem.field != "to")]
        return wrong_row(number, to, ErrorType.INVALID_PHONE_NUMBER, found)
    return wrong_row(number, to, ErrorType.INVALID_REQUEST, found)


def _too_large(row: Row) -> list[FieldProblem]:
    size = row_bytes(row)
    if size <= MAX_ROW_BYTES:
        return []
    return [
        FieldProblem(
            field="request",
            problem=f"has {size:,} bytes",
            expected=f"at most {MAX_ROW_BYTES:,} bytes for all cells of a row",
        )
    ]


def each_person_once(
    rows: list[Row], batch_key: str, duplicates: Duplicates
) -> tuple[list[Row], list[tuple[int, int]]]:
    """Return the rows with one row per person and key, and the pairs of line numbers that clash.

    Two rows for the same person are two messages if each has its own key. Of rows that clash, the
    last one stays with `Duplicates.LAST`, otherwise the first one.
    """
    by_key: dict[str, Row] = {}
    by_person: dict[str, Row] = {}
    clashes = []
    for row in rows:
        person = row.request.to
        earlier = by_key.get(row.key)
        same_person = by_person.get(person)
        if earlier is None and same_person is not None:
            derived = derived_key(batch_key, person)
            if derived in (row.key, same_person.key):
                earlier = same_person
        if earlier is not None:
            clashes.append((earlier.row, row.row))
            if duplicates != Duplicates.LAST:
                continue
            by_key.pop(earlier.key, None)
        by_key[row.key] = by_person[person] = row
    return list(by_key.values()), clashes


def derived_key(batch_key: str, number: str) -> str:
    """Return the key of a row without its own key; `number` is E.164."""
    return f"{batch_key}/{number}"
