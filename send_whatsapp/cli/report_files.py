"""Writes the report of a batch as CSV or as an Excel workbook, so that Excel shows what it says."""

import csv
import io
import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

from send_whatsapp.cli.errors import UsageError
from send_whatsapp.client import batches
from send_whatsapp.contract.batch import RowOutcome

CSV_SUFFIXES: Final = (".csv", ".txt", "")
EXCEL_SUFFIX: Final = ".xlsx"

_WIDTHS: Final = {"to": 18, "contactId": 18, "errorType": 20, "error": 60, "finishedAt": 22}
_MAX_CELL = 32_767
"""Characters of a cell that Excel accepts."""


def check_report_file(path: Path) -> None:
    """Raise UsageError unless a report can be written to this path."""
    if path.suffix.lower() not in (*CSV_SUFFIXES, EXCEL_SUFFIX):
        raise UsageError(f"--out cannot write {path.suffix} files: end the name in .csv or .xlsx")
    if path.is_dir():
        raise UsageError(
            f"--out {path} is a folder: add the name of a file, for example report.csv"
        )
    if not path.parent.is_dir():
        raise UsageError(f"--out: there is no folder {path.parent}: create it, or correct the path")


def write_report(path: Path, rows: Iterable[RowOutcome]) -> None:
    """Write the report as CSV, or as a workbook if the name ends in .xlsx. Raises UsageError."""
    try:
        if path.suffix.lower() == EXCEL_SUFFIX:
            _workbook(rows).save(path)
        else:
            path.write_text(_csv(rows), encoding="utf-8-sig", newline="")
    except OSError as error:
        raise UsageError(
            f"--out cannot write {path} ({error.strerror or 'unknown error'}): choose another path"
        ) from None


def print_report(rows: Iterable[RowOutcome]) -> None:
    """Print the report as CSV."""
    # Excel takes a file for UTF-8 only if it begins with this mark; in a pipe it would be in the
    # way.
    mark = "\ufeff" if _is_file(sys.stdout.fileno()) else ""
    sys.stdout.buffer.write((mark + _csv(rows)).encode())


def _is_file(descriptor: int) -> bool:
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def _csv(rows: Iterable[RowOutcome]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, batches.REPORT_COLUMNS)
    writer.writeheader()
    for row in rows:
        cells = batches.report_row(row)
        writer.writerow({name: "" if cell is None else cell for name, cell in cells.items()})
    return text.getvalue()


def _workbook(rows: Iterable[RowOutcome]) -> Workbook:
    workbook = Workbook(write_only=True)
    sheet = workbook.create_sheet("report")
    sheet.freeze_panes = "A2"
    for index, name in enumerate(batches.REPORT_COLUMNS):
        sheet.column_dimensions[chr(ord("A") + index)].width = _WIDTHS.get(name, 10)
    sheet.append(list(batches.REPORT_COLUMNS))
    for row in rows:
        sheet.append([_cell(sheet, value) for value in batches.report_row(row).values()])
    return workbook


def _cell(sheet: Any, value: Any) -> Any:
    """Return a cell that Excel shows as it is: text stays text, also +49... and =1+1."""
    if not isinstance(value, str):
        return value
    cell = WriteOnlyCell(sheet, ILLEGAL_CHARACTERS_RE.sub("?", value)[:_MAX_CELL])
    cell.data_type = "s"
    cell.number_format = "@"
    return cell
