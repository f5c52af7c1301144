"""Reads JSON Lines: one JSON object on each line."""

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from send_whatsapp.client.recipients.cells import (
    Cells,
    FileError,
    NumberedRows,
    Table,
    WrongRow,
    malformed_row,
)
from send_whatsapp.client.recipients.columns import ROW_FIELDS, VARIABLES, cleaned, row_names
from send_whatsapp.client.recipients.reading import ReadOptions


class _Refused(ValueError):
    """The line is JSON that a row cannot be; the message says why."""


def read_json_lines(text: str, options: ReadOptions) -> Table:
    """Return the objects, and every name in one of them as a column. Raises FileError.

    An object may have template variables under their own names and in an object `variables`.
    """
    if options.header_row is not None:
        raise FileError("The file is JSON Lines, which has no header: leave out --header-row")
    found: dict[str, None] = {}
    lines: NumberedRows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        row = _object(number, line)
        if not isinstance(row, WrongRow):
            found |= dict.fromkeys(row)
        lines.append((number, row))
    if not lines:
        return Table({}, [])
    if not found:
        raise FileError(
            "The file has no line that is a JSON object: write one object per line, for example"
            ' {"to": "+1234567890"}'
        )
    columns = row_names(found, options.column_map, objects=True)
    return Table(
        columns,
        [
            (number, row if isinstance(row, WrongRow) else _renamed(number, row, columns))
            for number, row in lines
        ],
    )


def _object(number: int, line: str) -> Cells | WrongRow:
    try:
        value: Any = json.loads(line, object_pairs_hook=_unique, parse_constant=_no_constant)
    except _Refused as error:
        return malformed_row(number, str(error))
    except (ValueError, RecursionError):
        return malformed_row(number, "is not valid JSON: write one JSON object per line")
    if not isinstance(value, dict):
        return malformed_row(number, "must be a JSON object")
    return {cleaned(name): cell for name, cell in value.items()}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = {cleaned(name) for name, _ in pairs}
    if len(names) < len(pairs):
        raise _Refused("has the same name twice: remove one of them")
    if not all(map(_is_unicode, names)):
        raise _Refused("has a name that is not valid Unicode")
    return dict(pairs)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_constant(name: str) -> NoReturn:
    raise _Refused(f"has {name}, which is not JSON: write a number or null")


def _renamed(number: int, row: Cells, columns: Mapping[str, str]) -> Cells | WrongRow:
    renamed = {columns[name]: cell for name, cell in row.items()}
    if len(renamed) < len(row):
        return malformed_row(number, "has two names that mean the same field: remove one of them")
    variables = renamed.get(VARIABLES)
    if variables is None:
        renamed.pop(VARIABLES, None)
    elif not isinstance(variables, dict):
        return malformed_row(number, "variables must be an object of names and values")
    elif both := sorted(variables.keys() & renamed.keys() - set(ROW_FIELDS)):
        return malformed_row(number, f"has `{both[0]}` twice, also in variables: remove one")
    return renamed
