"""Reads a file and checks its rows, as `batch send` does."""

from pathlib import Path
from typing import Any

from send_whatsapp.client.recipients.cells import Cells, WrongRow
from send_whatsapp.client.recipients.files import read
from send_whatsapp.client.recipients.reading import ReadOptions
from send_whatsapp.client.recipients.row_fields import EmptyCells
from send_whatsapp.client.recipients.rows import rows_of
from send_whatsapp.contract.batch import Row


def checked(
    path: Path,
    common: Cells | None = None,
    options: ReadOptions | None = None,
    empty_cells: EmptyCells = EmptyCells.REFUSE,
    **fields: Any,
) -> tuple[list[Row], list[WrongRow]]:
    """Return the rows of a file that can be sent and the wrong ones; all rows share `fields`."""
    if common is None:
        common = fields or {"message": "x"}
    table = read(path, options or ReadOptions())
    return rows_of(table.rows, common, "k", "US", empty_cells)
