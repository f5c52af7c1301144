"""Reads a file of recipients: chooses the reader by the kind of file, and checks its columns."""

from pathlib import Path

from send_whatsapp.client.recipients.cells import Cells, FileError, NumberedRows, Table
from send_whatsapp.client.recipients.csv_file import read_csv
from send_whatsapp.client.recipients.excel_file import read_excel
from send_whatsapp.client.recipients.json_lines import read_json_lines
from send_whatsapp.contract.batch import MAX_ROWS


def read(path: Path, column_map: dict[str, str]) -> NumberedRows:
    """Return the rows of a file, each with its line number.

    `column_map` renames columns: from their names in the file to the names that a row has in the
    contract. Raises FileError.
    """
    columns, rows = _table(path)
    if not rows:
        raise FileError(f"The file {path.name} has no rows")
    if len(rows) > MAX_ROWS:
        raise FileError(f"The file {path.name} has more than {MAX_ROWS:,} rows: split it")
    if unknown := set(column_map) - columns:
        raise FileError(
            f"The file {path.name} has no column `{min(unknown)}`: correct --column-map"
        )
    if "to" not in {column_map.get(name, name) for name in columns}:
        raise FileError(
            f"The file {path.name} has no column `to`: rename the column that holds the phone"
            " numbers, or name it with --column-map to=NAME"
        )
    return [
        (number, _renamed(row, column_map) if isinstance(row, dict) else row)
        for number, row in rows
    ]


def _table(path: Path) -> Table:
    suffix = path.suffix.lower()
    try:
        if suffix in (".xlsx", ".xlsm"):
            return read_excel(path)
        text = _decoded(path.read_bytes())
        if suffix in (".jsonl", ".ndjson", ".json") or text.startswith("{"):
            return read_json_lines(text)
        return read_csv(text)
    except FileError:
        raise
    except Exception as error:  # for a broken archive openpyxl raises errors of many types
        reason = type(error).__name__
        raise FileError(f"The file {path.name} cannot be read ({reason})") from None


def _decoded(data: bytes) -> str:
    """Return bytes as text: UTF-8 or UTF-16, with or without a byte order mark, else cp1252."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    if b"\0" in data[:2]:
        return data.decode("utf-16-le" if data[1:2] == b"\0" else "utf-16-be")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252")


def _renamed(cells: Cells, column_map: dict[str, str]) -> Cells:
    return {column_map.get(name, name): value for name, value in cells.items()}
