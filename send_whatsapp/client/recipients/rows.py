"""Checks the rows of a batch: each must be a valid request with a key, one row for each person."""

from collections.abc import Sequence
from enum import StrEnum

from pydantic import ValidationError

from send_whatsapp.client.recipients.cells import Cells, WrongRow
from send_whatsapp.contract.batch import Row
from send_whatsapp.contract.errors import ErrorType
from send_whatsapp.contract.fields import FALLBACK_VARIABLE
from send_whatsapp.contract.phone import InvalidPhoneNumber, to_e164
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.contract.validation import problems

_FIELDS = ("message", "template", "fileUrl", "fileType")
"""Columns of a row, besides `to` and `key`; every other column is a template variable."""

_TEXT_FIELDS = ("message", "template", "variables")
_FILE_FIELDS = ("fileUrl", "fileType")


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
) -> tuple[list[Row], list[WrongRow]]:
    """Return the rows that can be sent, each with its key, and those that cannot.

    `common` holds the fields that all rows share; a row's own cell wins. `region` (ISO 3166) is
    the one whose rules a number without `+` is read by.
    """
    good: list[Row] = []
    wrong: list[WrongRow] = []
    for number, row in cells:
        if isinstance(row, WrongRow):
            wrong.append(row)
            continue
        to = str(row.get("to") or "").strip()
        try:
            request = SendWhatsAppRequest.model_validate(_request(row, common))
            key = str(row.get("key") or "").strip() or derived_key(batch_key, to_e164(to, region))
            good.append(Row(row=number, key=key, request=request))
        except InvalidPhoneNumber as error:
            wrong.append(WrongRow(number, to, ErrorType.INVALID_PHONE_NUMBER, f"to: {error}"))
        except ValidationError as error:
            why = "; ".join(f"{p.field} {p.problem}" for p in problems(error))
            wrong.append(WrongRow(number, to, ErrorType.INVALID_REQUEST, why))
    return good, wrong


def _request(cells: Cells, common: Cells) -> Cells:
    """Return the fields of a row's request: its own cells and what it shares with all rows."""
    own = {name: cells[name] for name in _FIELDS if cells.get(name) not in (None, "")}
    variables = {
        name: value
        for name, value in cells.items()
        if name not in (*_FIELDS, "to", "key") and value not in (None, "")
    }
    # A row with its own file takes no common text, and a row with its own text no common file.
    replaced: tuple[str, ...] = ()
    if "fileUrl" in own:
        replaced = _TEXT_FIELDS
    elif own.keys() & {"message", "template"}:
        replaced = _FILE_FIELDS
    shared = {name: value for name, value in common.items() if name not in replaced}
    fields: Cells = {"to": str(cells.get("to") or ""), **shared, **own}
    if not fields.get("template"):
        # Without a template other columns have no meaning, but a fallback text is a mistake that
        # the check of the request reports.
        variables = {n: v for n, v in variables.items() if n == FALLBACK_VARIABLE}
    fields["variables"] = (shared.get("variables") or {}) | variables or None
    return fields


def each_person_once(
    rows: list[Row], batch_key: str, region: str, duplicates: Duplicates
) -> tuple[list[Row], list[tuple[int, int]]]:
    """Return the rows with one row per person and key, and the pairs of line numbers that clash.

    Two rows for the same person are two messages if each has its own key. Of rows that clash, the
    last one stays with `Duplicates.LAST`, otherwise the first one.
    """
    by_key: dict[str, Row] = {}
    by_person: dict[str, Row] = {}
    clashes = []
    for row in rows:
        person = to_e164(row.request.to, region)
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
