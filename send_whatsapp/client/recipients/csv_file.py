"""Reads CSV with cells separated by comma, semicolon or tab."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from send_whatsapp.client.recipients.cells import FileError, NumberedRow, Table
from send_whatsapp.client.recipients.columns import simplified
from send_whatsapp.client.recipients.header import Line, rows_below_header
from send_whatsapp.client.recipients.reading import ReadOptions

_SEPARATORS = ",;\t"
_SEPARATOR_LINE = re.compile(r'"?sep=([^"\w\s]|\t)"?[,;\t ]*(\r\n|\r|\n|$)', re.IGNORECASE)
_HEADER_SEARCH = 20
_HEAD_LINES = 1000
"""Lines in which the separator and the header are looked for."""

_MAX_CELL = 2**31 - 1
"""Characters of a cell for the parser; what a row may have is checked with its other fields."""


def read_csv(text: str, options: ReadOptions) -> Table:
    """Return the rows below the header line. Raises FileError."""
    columns, rows = stream_csv(io.StringIO(text, newline=""), options)
    return Table(columns, list(rows))


def stream_csv(
    lines: Iterator[str], options: ReadOptions
) -> tuple[dict[str, str], Iterator[NumberedRow]]:
    """Return the columns, and the rows below the header line as the iterator reads them.

    `lines` have their line breaks. Cells may have line breaks in quotes. Excel's first line `sep=;`
    names the separator. This and the iterator raise FileError.
    """
    csv.field_size_limit(_MAX_CELL)
    first_line = 1
    head = list(islice(lines, _HEAD_LINES))
    if head and (found := _SEPARATOR_LINE.fullmatch(head[0])):
        separator = found[1]
        del head[0]
        first_line = 2
    else:
        separator = _separator("".join(head), options)
    return rows_below_header(_lines(chain(head, lines), separator, first_line), options)


def _separator(text: str, options: ReadOptions) -> str:
    """Return the separator that gives the header a column `to`, else the most frequent one."""
    phone_column = simplified(options.column_map.get("to", "to"))

    def score(separator: str) -> tuple[bool, bool, int]:
        lines = list(islice(_first_lines(text, separator, options.header_row), _HEADER_SEARCH))
        found = [phone_column in map(simplified, cells) for cells in lines]
        return any(found[:1]), any(found), len(lines[0]) if lines else 0

    return max(_SEPARATORS, key=score)


def _first_lines(text: str, separator: str, header_row: int | None) -> Iterator[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    number = 1
    for cells in reader:
        if number >= (header_row or 1) and any(cell.strip() for cell in cells):
            yield cells
        number = reader.line_num + 1


def _lines(lines: Iterable[str], separator: str, first_line: int) -> Iterator[Line]:
    """Yield the cells of each line with the number of the line on which they begin."""
    reader = csv.reader(lines, delimiter=separator, strict=True)
    number = first_line
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raise FileError(_stray_quote(number, first_line + reader.line_num - 1)) from None
        yield Line(number, list(cells))
        number = first_line + reader.line_num


def _stray_quote(first: int, last: int) -> str:
    place = (
        f'Line {first}: a cell has text behind its closing quote, or the quote (") is not closed'
        if first == last
        else f'Line {first}: a quote (") that opens here is not closed properly until line {last}'
    )
    return (
        f'{place}: write a quote inside a quoted cell twice (""), or remove it. --skip-invalid'
        " cannot leave the row out, because nobody can tell where it ends"
    )
