"""Reads CSV with cells separated by comma, semicolon or tab."""

import csv
import io
from collections.abc import Iterator

from send_whatsapp.client.recipients.cells import Table
from send_whatsapp.client.recipients.header import table_with_header


def read_csv(text: str) -> Table:
    """Return the rows below the header line. Raises FileError, csv.Error."""
    return table_with_header(_lines(text))


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each line with the number of the line on which they begin."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    last_line = 0
    for cells in reader:
        yield last_line + 1, cells
        last_line = reader.line_num
