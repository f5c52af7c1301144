"""Shows a number as Excel does, for the formats of dates, times, amounts and percentages.

Only formats whose result does not depend on language, currency or size are known. A cell with any
other format is refused, since people would read something else than its author sees.
"""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final

_BUILT_IN: Final = {
    0: "general",
    1: "0",
    2: "0.00",
    3: "#,##0",
    4: "#,##0.00",
    9: "0%",
    10: "0.00%",
    20: "h:mm",
    21: "h:mm:ss",
    49: "@",
}
"""Formats by their ids in ECMA-376, 18.8.30; a file does not repeat their codes.

Missing are those that each computer shows in its own notation: 14 is 1/31/2027 on one and
31.01.2027 on another.
"""

_AMOUNTS: Final = {"0": "", "0.0": ".1", "0.00": ".2", "#,##0": ",", "#,##0.00": ",.2"}

_DATE = r"(?:d{1,2}|m{1,2}|y{1,4})(?:[-./](?:d{1,2}|m{1,2}|y{1,4})){1,2}"
_MOMENT = re.compile(rf"(?P<date>{_DATE})?(?: (?=h))?(?P<time>h{{1,2}}:mm(?::ss)?)?")
_LITERAL = re.compile(r"\\([-./ ])|\"([-./ ])\"")

_DAY_S = 86_400
_MAX_DAYS = 2_957_003
"""First serial number that the calendar from 1904 does not have; the other has a few more."""

_EXACT = Context(prec=400)
_DIGITS = 15
"""Significant digits of a number that Excel keeps."""

_SMALLEST = Decimal("1e-9")
"""Smaller numbers are what remains of rounding, and Excel shows them as 5.55E-17."""


@dataclass(frozen=True)
class NumberFormat:
    """A number format; `code` is None for a built-in one that depends on the computer."""

    code: str | None
    date1904: bool = False

    @classmethod
    def of(cls, number: int, code: str | None, date1904: bool) -> "NumberFormat":
        """Return the format with this id, and with the code that the file gives it, if any."""
        return cls(_normal(code) if code is not None else _BUILT_IN.get(number), date1904)

    @property
    def is_date(self) -> bool:
        """Whether the format shows a number as a date or a time, as far as this is known."""
        if self.code is None:
            return True
        unquoted = re.sub(r'"[^"]*"|\\.|\[(?!hh?\]|mm?\]|ss?\])[^\]]*\]|general', "", self.code)
        return re.search("[dmyhs]", unquoted) is not None

    def shown(self, value: float) -> str | None:
        """Return the number as Excel shows it, or None if this is not known for the format."""
        if self.code is None:
            return None
        number = Decimal(f"{value:.{_DIGITS}g}") or Decimal(0)
        if self.code in ("general", "@"):
            return _general(number, value)
        amount = self.code.removesuffix("%")
        if amount in _AMOUNTS:
            percent = self.code != amount
            return _amount(number * 100 if percent else number, amount) + "%" * percent
        if not (found := _MOMENT.fullmatch(self.code)):
            return None
        return _moment(number, found["date"] or "", found["time"] or "", self.date1904)


GENERAL: Final = NumberFormat("general")


def _normal(code: str) -> str:
    r"""Return a code in lower case and without what Excel adds to it, as in `dd\.mm\.yyyy;@`."""
    return _LITERAL.sub(lambda found: found[1] or found[2], code.lower().removesuffix(";@"))


def _general(number: Decimal, value: float) -> str | None:
    # A longer whole number is an id that has lost digits.
    if Decimal(repr(value)) != number and abs(number) >= 10**_DIGITS:
        return None
    if 0 < abs(number) < _SMALLEST:
        return None
    return format(number, "f")


def _amount(number: Decimal, code: str) -> str:
    decimals = len(code.partition(".")[2])
    rounded = number.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP, _EXACT)
    return format(rounded, ",f" if "," in code else "f")


def _moment(number: Decimal, day: str, time: str, date1904: bool) -> str | None:
    """Return a serial number of days as date, time or both; None if Excel shows no date for it."""
    if not 0 <= number < _MAX_DAYS or not (day or time):
        return None
    seconds = int((number * _DAY_S).quantize(Decimal(1), ROUND_HALF_UP))
    days, seconds = divmod(seconds, _DAY_S)
    shown = []
    if day:
        units = re.findall("[dmy]+", day)
        if len({unit[0] for unit in units}) < len(units):
            return None
        found = _date(days, date1904)
        if found is None:
            return None
        shown.append(re.sub("[dmy]+", lambda unit: _unit(unit[0], found), day))
    if time:
        hours, minutes = divmod(seconds // 60, 60)
        hour = f"{hours:02}" if time.startswith("hh") else str(hours)
        shown.append(f"{hour}:{minutes:02}" + (f":{seconds % 60:02}" if "s" in time else ""))
    return " ".join(shown)


def _date(days: int, date1904: bool) -> date | None:
    if not date1904 and (days < 1 or days == 60):
        return None  # Excel counts 29 February 1900, which did not exist
    first = date(1904, 1, 1) if date1904 else date(1899, 12, 31 if days < 60 else 30)
    return first + timedelta(days)


def _unit(unit: str, day: date) -> str:
    if unit[0] == "y":
        return f"{day.year:04}" if len(unit) > 2 else f"{day.year % 100:02}"
    value = day.day if unit[0] == "d" else day.month
    return f"{value:02}" if len(unit) == 2 else str(value)
