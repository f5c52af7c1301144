"""Makes the fields of a request from a row: its own cells, and what it shares with all rows."""

import math
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final

from send_whatsapp.client.recipients.cells import NOT_A_NUMBER, Cells, UnusableCell
from send_whatsapp.client.recipients.columns import CONTENT_FIELDS, ROW_FIELDS, VARIABLES
from send_whatsapp.client.recipients.placeholders import unfilled_placeholders
from send_whatsapp.contract.errors import FieldProblem
from send_whatsapp.contract.fields import FALLBACK_VARIABLE
from send_whatsapp.contract.phone import InvalidPhoneNumber, to_e164

EMPTY_VARIABLE: Final = "is empty, so the provider would show the value of an earlier message"
"""Problem of a variable that a row names without a value."""

_TEXT_FIELDS = ("message", "template", "variables")
_FILE_FIELDS = ("fileUrl", "fileType")


class EmptyCells(StrEnum):
    """What to do with an empty cell of a variable in a row that sends a template."""

    REFUSE = "refuse"
    SKIP = "skip"


def phone_number(cells: Cells, region: str) -> tuple[str, FieldProblem | None]:
    """Return the row's phone number in E.164, or as it is written and what is wrong with it."""
    value = cells.get("to")
    written = plain_text(value)
    if isinstance(written, UnusableCell):
        return "", _problem("to", written)
    try:
        return to_e164(written, region), None
    except InvalidPhoneNumber as error:
        return written, FieldProblem(field="to", problem=NOT_A_NUMBER, expected=str(error))


def plain_text(value: Any) -> str | UnusableCell:
    """Return the text of a cell that a program may have written as a number; "" if it is empty."""
    if value is None:
        return ""
    if isinstance(value, str | UnusableCell):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return UnusableCell("is not text", "text")
    if not math.isfinite(value) or value < 0 or value != int(value):
        return UnusableCell("is a number with a fraction or a sign", "a whole number, best as text")
    return str(int(value))


def request_fields(
    cells: Cells, common: Cells, empty_cells: EmptyCells
) -> tuple[Cells, list[FieldProblem]]:
    """Return the fields of a row's request without `to`, and what is wrong with its cells.

    `common` holds the fields that all rows share; a row's own cell wins. Columns that are not
    fields are variables if the row sends a template, and otherwise have no meaning.
    """
    own = {name: cells[name] for name in CONTENT_FIELDS if cells.get(name) not in (None, "")}
    # A row with its own file takes no common text, and a row with its own text no common file.
    replaced: tuple[str, ...] = ()
    if "fileUrl" in own:
        replaced = _TEXT_FIELDS
    elif own.keys() & {"message", "template"}:
        replaced = _FILE_FIELDS
    shared = {name: value for name, value in common.items() if name not in replaced}
    fields: Cells = {**shared, **own}
    shared_variables: Cells = shared.get("variables") or {}
    variables, problems = _own_variables(
        cells, shared_variables, empty_cells, template=bool(fields.get("template"))
    )
    fields["variables"] = shared_variables | variables or None
    names = {*cells, *(cells.get(VARIABLES) or {}), *shared_variables} - {VARIABLES}
    problems += unfilled_placeholders(fields, names)
    problems += [
        _problem(name, value) for name, value in own.items() if isinstance(value, UnusableCell)
    ]
    return fields, problems


def _own_variables(
    cells: Cells, shared: Cells, empty_cells: EmptyCells, *, template: bool
) -> tuple[Cells, list[FieldProblem]]:
    variables: Cells = {}
    problems: list[FieldProblem] = []
    for name, value, is_column in _variable_cells(cells):
        if not template and is_column and name != FALLBACK_VARIABLE:
            continue
        if isinstance(value, UnusableCell):
            problems.append(_problem(f"variables.{name}", value))
        elif value is not None and not (isinstance(value, str) and not value.strip()):
            # A variable without a template is a mistake that the check of the request reports.
            variables[name] = value
        elif template and name not in {*shared, FALLBACK_VARIABLE}:
            empty = UnusableCell(EMPTY_VARIABLE, "a value")
            problems.append(_problem(f"variables.{name}", empty))
    if empty_cells == EmptyCells.SKIP:
        problems = [problem for problem in problems if problem.problem != EMPTY_VARIABLE]
    return variables, problems


def _variable_cells(cells: Cells) -> Iterator[tuple[str, Any, bool]]:
    """Yield name and value of each variable, and whether it is a column of its own."""
    for name, value in cells.items():
        if name not in (*ROW_FIELDS, VARIABLES):
            yield name, value, True
    for name, value in (cells.get(VARIABLES) or {}).items():
        yield name, value, False


def _problem(field: str, cell: UnusableCell) -> FieldProblem:
    return FieldProblem(field=field, problem=cell.problem, expected=cell.expected)
