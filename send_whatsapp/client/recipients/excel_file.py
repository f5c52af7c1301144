"""Reads the first sheet of an Excel workbook."""

from collections.abc import Iterator
from datetime import datetime, time
from pathlib import Path
from typing import Any

from send_whatsapp.client.recipients.cells import Table
from send_whatsapp.client.recipients.header import table_with_header


def read_excel(path: Path) -> Table:
    """Return the rows below the header line, numbered as in the sheet. Raises FileError.

    For a file that is not a workbook, openpyxl's errors pass.
    """
    return table_with_header(_lines(path))


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    import openpyxl  # imported here because it would delay the start of every command

    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    try:
        for number, values in enumerate(book.worksheets[0].iter_rows(values_only=True), 1):
            cells = [_text(value) for value in values]
            # Excel pads every row to the width of the widest one.
            while cells and not cells[-1]:
                cells.pop()
            yield number, cells
    finally:
        book.close()


def _text(value: Any) -> str:
    """Return the value of a cell as text.

    Excel stores every number as a fraction and every date with a time. A phone number is not a
    fraction, and a plain date has no time, so both are left out.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime) and value.time() == time():
        return str(value.date())
    return "" if value is None else str(value)
