"""Reads a file and checks its rows, as `batch send` does."""

from pathlib import Path
from typing import Any

from send_whatsapp.client.recipients.cells import Cells, WrongRow
from send_whatsapp.client.recipients.files import read
from send_whatsapp.client.recipients.rows import rows_of
from send_whatsapp.contract.batch import Row


def checked(
    path: Path, common: Cells | None = None, **fields: Any
) -> tuple[list[Row], list[WrongRow]]:
    """Return the rows of a file that can be sent and the wrong ones; all rows share `fields`."""
    if common is None:
        common = fields or {"message": "x"}
    return rows_of(read(path, {}), common, "k", "US")
