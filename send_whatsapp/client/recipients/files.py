"""Reads a file of recipients: chooses the reader by the kind of file."""

from pathlib import Path
from typing import Final

from send_whatsapp.client.recipients.cells import FileError, Table, printable
from send_whatsapp.client.recipients.csv_file import read_csv
from send_whatsapp.client.recipients.encodings import decoded
from send_whatsapp.client.recipients.excel_file import read_excel
from send_whatsapp.client.recipients.json_lines import read_json_lines
from send_whatsapp.client.recipients.reading import ReadOptions
from send_whatsapp.contract.batch import MAX_ROWS

_ZIP: Final = b"PK\x03\x04"
_OLE: Final = b"\xd0\xcf\x11\xe0"
"""First bytes of .xls files, and of .xlsx files with a password."""


def read(path: Path, options: ReadOptions) -> Table:
    """Return the columns and the rows of a file. Raises FileError."""
    name = printable(path.name)
    try:
        table = _table(path, options)
    except FileError as error:
        raise FileError(printable(f"{name}: {error}")) from None
    except OSError as error:
        raise FileError(f"{name} cannot be read: {error.strerror or 'unknown error'}") from None
    except Exception as error:  # damaged archives and XML raise errors of many types
        raise FileError(
            f"{name} cannot be read ({type(error).__name__}): it is damaged or not of the kind"
            " that its name says; open it in the program that made it and save it again"
        ) from None
    if not table.rows:
        raise FileError(f"{name} has no rows below its header")
    if len(table.rows) > MAX_ROWS:
        raise FileError(f"{name} has more than {MAX_ROWS:,} rows: split it")
    return table


def _table(path: Path, options: ReadOptions) -> Table:
    with path.open("rb") as file:
        first = file.read(4)
        if first == _ZIP:
            return read_excel(path, options)
        data = first + file.read()
    suffix = path.suffix.lower()
    if first == _OLE:
        raise FileError(
            "The file is an old Excel file or has a password: save it as .xlsx without a password"
        )
    if suffix in (".xlsx", ".xlsm"):
        raise FileError("The file is not an Excel workbook: save it as .xlsx, or as CSV UTF-8")
    if options.sheet is not None:
        raise FileError("The file is not an Excel workbook: leave out --sheet")
    text = decoded(data, options.encoding)
    is_json = suffix in (".jsonl", ".ndjson", ".json")
    if is_json and text.lstrip().startswith("["):
        raise FileError(
            "The file is a JSON array: write JSON Lines, one object per line, for example with"
            " jq -c '.[]'"
        )
    if is_json or text.lstrip().startswith("{"):
        return read_json_lines(text, options)
    return read_csv(text, options)
