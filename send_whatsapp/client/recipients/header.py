"""Names the cells of CSV and Excel rows by the header line above them."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple, Protocol

from send_whatsapp.client.recipients.cells import (
    MERGED,
    Cells,
    FileError,
    NumberedRow,
    Table,
    UnusableCell,
    WrongRow,
    malformed_row,
)
from send_whatsapp.client.recipients.columns import cleaned, row_names
from send_whatsapp.client.recipients.reading import HiddenRows, ReadOptions

_HEADER_SEARCH = 20
"""Lines below the first one in which a header is looked for, to name it in an error."""

_ERROR_VALUES = frozenset(
    {
        *("#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A", "#NV", "#SPILL!"),
        *("#CALC!", "#FIELD!", "#BLOCKED!", "#CONNECT!", "#BUSY!", "#UNKNOWN!", "#GETTING_DATA"),
    }
)
"""What a spreadsheet writes into CSV for a cell with an error."""


class TypedCell(Protocol):
    """A cell whose text depends on the column that it is in."""

    def text(self, column: str) -> str | UnusableCell:
        """Return the text of the cell in a column with this name."""


Cell = str | UnusableCell | TypedCell


class Line(NamedTuple):
    """The cells of one line of the file; `hidden` if Excel does not show it."""

    number: int
    cells: list[Cell]
    hidden: bool = False


def table_with_header(lines: Iterable[Line], options: ReadOptions) -> Table:
    """Return the same as `rows_below_header` with all rows in memory."""
    columns, rows = rows_below_header(lines, options)
    return Table(columns, list(rows))


def rows_below_header(
    lines: Iterable[Line], options: ReadOptions
) -> tuple[dict[str, str], Iterator[NumberedRow]]:
    """Return the columns that the header names, and an iterator over the rows below it.

    The header is the first line with text, or line `options.header_row`. Blank lines are skipped.
    Raises FileError.
    """
    lines = (line for line in lines if not _is_blank(line))
    header = _header(lines, options.header_row)
    if header is None:
        return {}, iter(())
    names = [_name(cell, header.number, i) for i, cell in enumerate(header.cells, 1)]
    try:
        columns = row_names(filter(None, names), options.column_map)
    except FileError as error:
        if options.header_row is None and (better := _later_header(lines, options)):
            raise FileError(
                f"{error}. Line {better} seems to be the header: add --header-row {better}"
            ) from None
        raise
    _check_unique(names, columns)
    row_columns = [columns.get(name, "") for name in names]
    hidden = options.hidden_rows
    return columns, (
        (line.number, _row(line, row_columns, hidden))
        for line in lines
        if not (line.hidden and hidden == HiddenRows.SKIP)
    )


def _header(lines: Iterator[Line], number: int | None) -> Line | None:
    for line in lines:
        if number is None or line.number == number:
            return line
        if line.number > number:
            break
    if number is not None:
        raise FileError(
            f"Line {number} of the file has no column names: correct --header-row, which counts"
            " lines as an editor or Excel does"
        )
    return None


def _row(line: Line, columns: list[str], hidden: HiddenRows) -> Cells | WrongRow:
    if line.hidden and hidden == HiddenRows.REFUSE:
        why = "is hidden in Excel: show it, or add --hidden-rows send or --hidden-rows skip"
        return malformed_row(line.number, why)
    named = sum(map(bool, columns))
    row: Cells = {name: "" for name in columns if name}
    for index, cell in enumerate(line.cells):
        name = columns[index] if index < len(columns) else ""
        if name:
            row[name] = _value(cell, name)
        elif not _is_blank_cell(cell):
            why = f"has too many cells (expected {named}, one for each name in the header)"
            return malformed_row(line.number, why)
    return row


def _value(cell: Cell, column: str) -> str | UnusableCell:
    value = cell if isinstance(cell, str | UnusableCell) else cell.text(column)
    if isinstance(value, UnusableCell):
        return value
    trimmed = value.strip()
    if not trimmed:
        return ""
    if trimmed in _ERROR_VALUES:
        return error_cell(trimmed)
    if len(trimmed) > 2 and not trimmed.strip("#"):
        return UnusableCell(
            "holds only #, which a spreadsheet writes if a column is too narrow",
            "the value: widen the column and save the file again",
        )
    return value


def error_cell(error: str) -> UnusableCell:
    """Return a cell that holds an error of a spreadsheet, such as `#N/A`."""
    return UnusableCell(f"holds the spreadsheet's error {error}", "a value: correct the formula")


def _name(cell: Cell, line: int, number: int) -> str:
    name = "" if cell is MERGED else _value(cell, "")
    if isinstance(name, UnusableCell):
        raise FileError(
            f"Line {line}: the name of column {number} {name.problem}: write the name as text"
        )
    return cleaned(name)


def _check_unique(names: list[str], columns: dict[str, str]) -> None:
    earlier: dict[str, str] = {}
    for name in filter(None, names):
        field = columns[name]
        if field in earlier:
            raise FileError(
                f"The file has two columns with the same name: `{earlier[field]}` and `{name}`"
                f" both become `{field}`: rename or remove one of them"
            )
        earlier[field] = name


def _later_header(lines: Iterator[Line], options: ReadOptions) -> int | None:
    """Return the number of a line that has the names which the first line lacks."""
    for line in islice(lines, _HEADER_SEARCH):
        names = [cleaned(cell) for cell in line.cells if isinstance(cell, str)]
        try:
            row_names(filter(None, names), options.column_map)
        except FileError:
            continue
        return line.number
    return None


def _is_blank(line: Line) -> bool:
    return all(map(_is_blank_cell, line.cells))


def _is_blank_cell(cell: Cell) -> bool:
    return cell is MERGED or (isinstance(cell, str) and not cell.strip())
