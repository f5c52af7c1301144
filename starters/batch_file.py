"""Files of recipients: CSV, JSON Lines and Excel, as people have them, to cells by line."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from contract.batch import MAX_ROWS
from contract.errors import ErrorType
from starters.batch_rows import Cells, WrongRow


class FileError(ValueError):
    """The file cannot be read, or has no rows; the message is one sentence."""


def read(path: Path, column_map: dict[str, str]) -> list[tuple[int, Cells | WrongRow]]:
    """Return the rows of a file by line number, each as cells by column or as what is wrong.

    `column_map` gives the file's columns other names. Raises FileError.
    """
    try:
        if path.suffix.lower() in (".xlsx", ".xlsm"):
            rows = list(_excel(path))
        else:
            text = _text(path.read_bytes())
            is_json = path.suffix.lower() in (".jsonl", ".ndjson", ".json") or text.startswith("{")
            rows = list(_json_lines(text) if is_json else _csv(text))
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
    unknown = set(column_map) - {name for _, c in rows if isinstance(c, dict) for name in c}
    if unknown:
        raise FileError(f"The file {path.name} has no column `{min(unknown)}`: see --column-map")
    named = [(n, _renamed(c, column_map) if isinstance(c, dict) else c) for n, c in rows]
    if not any(isinstance(cells, dict) and "to" in cells for _, cells in named):
        raise FileError(
            f"The file {path.name} has no column `to`: name it so, or give --column-map to=NAME"
        )
    return named


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


def _csv(text: str) -> Iterator[tuple[int, Cells | WrongRow]]:
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    header: list[str] | None = None
    before = 0
    for cells in reader:
        number, before = before + 1, reader.line_num
        if not any(cell.strip() for cell in cells):
            continue
        if header is None:
            header = [cell.strip() for cell in cells]
            if len(set(header)) != len(header):
                raise FileError("The file names a column twice")
            continue
        if len(cells) > len(header):
            yield number, WrongRow(number, "", ErrorType.INVALID_REQUEST, "has too many cells")
            continue
        yield number, dict(zip(header, cells, strict=False))


def _json_lines(text: str) -> Iterator[tuple[int, Cells | WrongRow]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            cells = json.loads(line)
        except (ValueError, RecursionError):
            cells = None
        if not isinstance(cells, dict):
            wrong = WrongRow(number, "", ErrorType.INVALID_REQUEST, "is no JSON object")
            yield number, wrong
            continue
        nested = cells.pop("variables", None)
        yield number, (nested if isinstance(nested, dict) else {}) | cells


def _excel(path: Path) -> Iterator[tuple[int, Cells | WrongRow]]:
    import openpyxl  # here, since every command would wait for it at its start

    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    try:
        sheet = book.worksheets[0]
        header: list[str] | None = None
        for number, values in enumerate(sheet.iter_rows(values_only=True), 1):
            if all(value is None or str(value).strip() == "" for value in values):
                continue
            if header is None:
                header = [_cell(value).strip() for value in values]
                continue
            extra = [v for v in values[len(header) :] if v is not None]
            if extra or any(v is not None and not h for h, v in zip(header, values, strict=False)):
                wrong = WrongRow(number, "", ErrorType.INVALID_REQUEST, "has too many cells")
                yield number, wrong
                continue
            pairs = zip(header, values, strict=False)
            yield number, {name: _cell(value) for name, value in pairs if name}
    finally:
        book.close()


def _cell(value: Any) -> str:
    # Excel keeps every number as a fraction; a phone is none.
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)
