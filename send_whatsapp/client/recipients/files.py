"""Files of recipients: CSV, JSON Lines and Excel, as people have them, to cells by line."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import datetime, time
from pathlib import Path
from typing import Any

from send_whatsapp.client.recipients.rows import Cells, WrongRow
from send_whatsapp.contract.batch import MAX_ROWS
from send_whatsapp.contract.errors import ErrorType

Found = list[tuple[int, Cells | WrongRow]]
"""Each row by its line number: its cells by column, or what is wrong with it."""


class FileError(ValueError):
    """The file cannot be read, or has no rows; the message is one sentence."""


def read(path: Path, column_map: dict[str, str]) -> Found:
    """Return the rows of a file by line number, each as cells by column or as what is wrong.

    `column_map` gives the file's columns other names. Raises FileError.
    """
    try:
        if path.suffix.lower() in (".xlsx", ".xlsm"):
            columns, rows = _table(_excel(path))
        else:
            text = _text(path.read_bytes())
            is_json = path.suffix.lower() in (".jsonl", ".ndjson", ".json") or text.startswith("{")
            columns, rows = _objects(text) if is_json else _table(_csv(text))
    except (OSError, KeyError, csv.Error, ValueError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"The file {path.name} cannot be read ({type(error).__name__})") from None
    except Exception as error:  # openpyxl raises whatever a broken archive makes it raise
        raise FileError(f"The file {path.name} cannot be read ({type(error).__name__})") from None
    if not rows:
        raise FileError(f"The file {path.name} has no rows")
    if len(rows) > MAX_ROWS:
        raise FileError(f"The file {path.name} has more than {MAX_ROWS:,} rows: split it")
    if unknown := set(column_map) - columns:
        raise FileError(f"The file {path.name} has no column `{min(unknown)}`: see --column-map")
    if "to" not in {column_map.get(name, name) for name in columns}:
        raise FileError(
            f"The file {path.name} has no column `to`: name it so, or give --column-map to=NAME"
        )
    return [(n, _renamed(c, column_map) if isinstance(c, dict) else c) for n, c in rows]


def _renamed(cells: Cells, column_map: dict[str, str]) -> Cells:
    return {column_map.get(name, name): value for name, value in cells.items()}


def _text(data: bytes) -> str:
    """Decode as people's programs write it: UTF-8 with or without a mark, UTF-16, cp1252."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    if b"\0" in data[:2]:
        return data.decode("utf-16-le" if data[1:2] == b"\0" else "utf-16-be")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252")


def _csv(text: str) -> Iterator[tuple[int, list[str]]]:
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    before = 0
    for cells in reader:
        yield before + 1, cells
        before = reader.line_num


def _excel(path: Path) -> Iterator[tuple[int, list[str]]]:
    import openpyxl  # here, since every command would wait for it at its start

    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    try:
        for number, values in enumerate(book.worksheets[0].iter_rows(values_only=True), 1):
            cells = [_cell(value) for value in values]
            while cells and not cells[-1]:  # a sheet is as wide as its widest row
                cells.pop()
            yield number, cells
    finally:
        book.close()


def _cell(value: Any) -> str:
    """Return a cell of Excel as the contract writes such a value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    # Excel keeps every number as a fraction, and every date with a time; a phone is none.
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime) and value.time() == time():
        return str(value.date())
    return "" if value is None else str(value)


def _table(lines: Iterator[tuple[int, list[str]]]) -> tuple[set[str], Found]:
    """Return the columns that the first line names, and the rows below it."""
    header: list[str] | None = None
    rows: Found = []
    for number, cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        if header is None:
            header = [cell.strip() for cell in cells]
            named = [name for name in header if name]
            if len(set(named)) != len(named):
                raise FileError("The file names a column twice")
        elif len(cells) > len(header) or any(
            cell and not name for name, cell in zip(header, cells, strict=False)
        ):
            rows.append((number, _wrong(number, "has too many cells")))
        else:
            pairs = zip(header, cells, strict=False)
            rows.append((number, {name: cell for name, cell in pairs if name}))
    return set(header or ()) - {""}, rows


def _objects(text: str) -> tuple[set[str], Found]:
    """Return the names that stand in any line's object, and the objects."""
    columns: set[str] = set()
    rows: Found = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            cells = json.loads(line)
        except (ValueError, RecursionError):
            cells = None
        if isinstance(cells, dict):
            nested = cells.pop("variables", None)
            cells = (nested if isinstance(nested, dict) else {}) | cells
            columns |= cells.keys()
            rows.append((number, cells))
        else:
            rows.append((number, _wrong(number, "is no JSON object")))
    if rows and not columns:
        raise FileError("The file has no line that is a JSON object")
    return columns, rows


def _wrong(number: int, why: str) -> WrongRow:
    return WrongRow(number, "", ErrorType.INVALID_REQUEST, why)
