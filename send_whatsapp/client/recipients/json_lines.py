"""Reads JSON Lines: one JSON object on each line."""

import json
from typing import Any

from send_whatsapp.client.recipients.cells import (
    Cells,
    FileError,
    NumberedRows,
    Table,
    malformed_row,
)


def read_json_lines(text: str) -> Table:
    """Return the objects, and every name in one of them as a column.

    The names in an object's `variables` count as its own. Raises FileError if no line is an object.
    """
    columns: set[str] = set()
    rows: NumberedRows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        cells = _cells(line)
        if cells is None:
            rows.append((number, malformed_row(number, "must be a JSON object")))
        else:
            columns |= cells.keys()
            rows.append((number, cells))
    if rows and not columns:
        raise FileError("The file has no line that is a JSON object")
    return Table(columns, rows)


def _cells(line: str) -> Cells | None:
    try:
        value: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    variables = value.pop("variables", None)
    return (variables if isinstance(variables, dict) else {}) | value
