"""Reads one cell of a sheet: text, number, boolean, error, or a formula's last result."""

import math
from dataclasses import dataclass
from datetime import datetime
from xml.etree.ElementTree import Element

from send_whatsapp.client.recipients.cells import UnusableCell, printable
from send_whatsapp.client.recipients.excel_formats import GENERAL, NumberFormat
from send_whatsapp.client.recipients.excel_package import (
    Workbook,
    is_true,
    local_name,
    plain_text,
    unescaped,
)
from send_whatsapp.client.recipients.header import Cell, error_cell

_NOT_CALCULATED = UnusableCell(
    "holds a formula without a result",
    "a result: open the file in Excel or LibreOffice and save it",
)

_MAX_CODE = 40


@dataclass(frozen=True, slots=True)
class NumberCell:
    """A number with its format; `place` is the cell's name in the sheet, for example B2.

    `is_date` says that the file stores the cell as a date, whatever its format is.
    """

    value: float
    format: NumberFormat
    place: str
    is_date: bool = False

    def text(self, column: str) -> str | UnusableCell:
        """Return the digits of a phone number in column `to`, else what Excel shows."""
        if column == "to":
            return self._phone_number()
        shown = self.format.shown(self.value)
        return shown if shown is not None else self._not_shown()

    def _phone_number(self) -> str | UnusableCell:
        if self.is_date or self.format.is_date:
            return UnusableCell("holds a date or a time", "a phone number")
        if self.value < 0 or not self.value.is_integer():
            return UnusableCell(
                "holds a negative number or a fraction", "a phone number, best as text"
            )
        return str(int(self.value))

    def _not_shown(self) -> UnusableCell:
        code = self.format.code
        if code is None:
            problem = "has a date format that each computer shows in its own notation"
            example = "yyyy-mm-dd"
        elif code in ("general", "@"):
            problem = "holds a number that Excel shows rounded"
            example = "0"
        else:
            example = printable(code[:_MAX_CODE])
            problem = f"has the number format {example}, so what Excel shows is not known"
        quoted = example.replace('"', '""')
        return UnusableCell(
            problem,
            f'text: format the column as text, for example with =TEXT({self.place},"{quoted}")'
            " in a column of its own",
        )


def read_cell(element: Element, place: str, book: Workbook) -> Cell:
    """Return the content of a cell; "" if it is empty."""
    kind = element.get("t", "n")
    content = {local_name(child): child for child in element}
    value = content["v"].text or "" if "v" in content else None
    if "f" in content and not _is_calculated(kind, value, book):
        return _NOT_CALCULATED
    if kind == "inlineStr":
        return plain_text(content["is"]) if "is" in content else ""
    if not value:
        return ""
    if kind == "s":
        return book.strings[int(value)]
    if kind == "str":
        return unescaped(value)
    if kind == "b":
        return "TRUE" if is_true(value) else "FALSE"
    if kind == "e":
        return error_cell(value)
    style = int(element.get("s", 0))
    format_ = book.formats[style] if style < len(book.formats) else GENERAL
    number = _serial(value, format_.date1904) if kind == "d" else float(value)
    if not math.isfinite(number):
        return UnusableCell("holds a number that is too large", "a number that Excel can show")
    return NumberCell(number, format_, place, is_date=kind == "d")


def _is_calculated(kind: str, value: str | None, book: Workbook) -> bool:
    if kind == "str":
        return value is not None
    # Programs that cannot calculate write 0 and ask Excel to calculate when it opens the file.
    return bool(value) and not (book.recalculates and value == "0")


def _serial(text: str, date1904: bool) -> float:
    """Return a date in ISO 8601 as Excel's number of days."""
    first = datetime(1904, 1, 1) if date1904 else datetime(1899, 12, 30)
    moment = datetime.fromisoformat(text).replace(tzinfo=None)
    return (moment - first).total_seconds() / 86_400
