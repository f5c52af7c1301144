"""Reads one sheet of an Excel workbook."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from send_whatsapp.client.recipients.cells import MERGED, FileError, Table
from send_whatsapp.client.recipients.excel_cells import read_cell
from send_whatsapp.client.recipients.excel_package import (
    Sheet,
    Workbook,
    elements,
    is_true,
    local_name,
)
from send_whatsapp.client.recipients.header import Cell, Line, table_with_header
from send_whatsapp.client.recipients.reading import ReadOptions

_MAX_COLUMNS: Final = 16_384
_PLACE = re.compile(r"\$?([A-Z]{1,3})\$?([0-9]{1,7})")


def read_excel(path: Path, options: ReadOptions) -> Table:
    """Return the rows below the header line, numbered as in the sheet.

    Raises FileError, and for a damaged file the errors of the zip archive and the XML.
    """
    if options.encoding is not None:
        raise FileError("The file is an Excel workbook: leave out --encoding")
    with Workbook(path) as book:
        return table_with_header(_lines(book, _sheet(book, options.sheet)), options)


def _sheet(book: Workbook, name: str | None) -> Sheet:
    """Return the sheet with this name, by default the first one. Raises FileError."""
    visible = ", ".join(f"`{sheet.name}`" for sheet in book.sheets if sheet.visible) or "none"
    if name is not None:
        for match in (str, _folded):
            for sheet in book.sheets:
                if match(sheet.name) == match(name):
                    return sheet
        raise FileError(f"The file has no sheet `{name}`. Its visible sheets are {visible}")
    if not book.sheets:
        raise FileError("The file has no sheet with rows")
    first = book.sheets[0]
    if not first.visible:
        raise FileError(
            f"The first sheet of the file, `{first.name}`, is hidden: name the sheet to send with"
            f" --sheet. The visible sheets are {visible}"
        )
    return first


def _folded(name: str) -> str:
    return name.strip().casefold()


def _lines(book: Workbook, sheet: Sheet) -> list[Line]:
    lines: dict[int, Line] = {}
    merged = []
    last = 0
    with book.open(sheet.part) as source:
        for element in elements(source, "row", "mergeCell"):
            if local_name(element) == "mergeCell":
                merged.append(element.get("ref", ""))
                continue
            number = int(float(element.get("r", last + 1)))
            if number <= last:
                raise FileError(f"The sheet `{sheet.name}` has row {number} twice: save it again")
            last = number
            lines[number] = Line(number, _cells(element, number, book), _is_hidden(element))
    _mark_merged(lines, merged)
    return list(lines.values())


def _cells(row: Element, number: int, book: Workbook) -> list[Cell]:
    cells: list[Cell] = []
    column = 0
    for element in row:
        if local_name(element) != "c":
            continue
        found = _PLACE.fullmatch(element.get("r", ""))
        column = _column(found[1]) if found else column + 1
        if column > _MAX_COLUMNS:
            raise FileError(f"Line {number} of the file has more than {_MAX_COLUMNS:,} columns")
        cell = read_cell(element, found[0] if found else f"row {number}", book)
        if cell != "":
            cells += [""] * (column - len(cells))
            cells[column - 1] = cell
    return cells


def _is_hidden(row: Element) -> bool:
    return is_true(row.get("hidden")) or row.get("ht") in ("0", "0.0")


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def _mark_merged(lines: dict[int, Line], merged: Iterable[str]) -> None:
    """Mark the empty cells that merged cells cover."""
    last = max(lines, default=0)
    width = max((len(line.cells) for line in lines.values()), default=0)
    for ref in merged:
        first, _, second = ref.partition(":")
        corner, opposite = _PLACE.fullmatch(first), _PLACE.fullmatch(second)
        if not corner or not opposite:
            continue
        left, top = _column(corner[1]), int(corner[2])
        right, bottom = min(_column(opposite[1]), width), min(int(opposite[2]), last)
        for line in filter(None, map(lines.get, range(top, bottom + 1))):
            line.cells.extend([""] * (right - len(line.cells)))
            for column in range(left, right + 1):
                if (line.number, column) != (top, left) and line.cells[column - 1] == "":
                    line.cells[column - 1] = MERGED
