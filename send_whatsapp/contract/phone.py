"""Phone numbers: from any usual notation to E.164."""

import re

import phonenumbers

_NOTATION = re.compile(r"\+?[0-9 ().-]+", re.ASCII)
_INTERNATIONAL = re.compile(r"[1-9][0-9]{7,14}", re.ASCII)

# What a program makes of a number that it takes for something else.
_FRACTION = re.compile(r"[+-]?(?:\d{7,}[.,]\d{1,2}|\d{8,}[.,]\d+)", re.ASCII)
_SCIENTIFIC = re.compile(r"[+-]?\d+(?:[.,]\d+)?[eE][+-]?\d+", re.ASCII)
_DATE = re.compile(
    r"(?P<year>\d{4})(?P<a>[-./])(?P<month>\d{1,2})(?P=a)(?P<day>\d{1,2})"
    r"|(?P<first>\d{1,2})(?P<b>[-./])(?P<second>\d{1,2})(?P=b)(?P<last>\d{4}|\d{2})",
    re.ASCII,
)
_TIME_OF_DAY = re.compile(
    r"[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?", re.ASCII
)


DEFAULT_REGION = "US"
"""Default of the setting `CGB_DEFAULT_REGION`."""


class InvalidPhoneNumber(ValueError):
    """The text is not a phone number; the message says what is expected, without the text."""


def to_e164(text: str, region: str) -> str:
    """Return the phone number in E.164 form (`+` and 8 to 15 digits).

    `region` (ISO 3166) says how to read a number without `+`. The rules, of which the first that
    fits wins, are in docs/request.md, "Phone numbers". Raises InvalidPhoneNumber for anything else,
    also for a value that a program has changed: `4155552671.0`, `4.15555E+09`, a date.
    """
    trimmed = text.strip()
    _refuse_what_a_program_made(trimmed)
    if not _NOTATION.fullmatch(trimmed):
        raise InvalidPhoneNumber(
            "use only digits, spaces, ( ) - . and one leading +, for example +1234567890"
        )
    digits = re.sub(r"[^0-9]", "", trimmed)
    if trimmed.startswith("+"):
        return _international(trimmed, digits)
    return _national(trimmed, digits, region)


def _international(text: str, digits: str) -> str:
    if not _INTERNATIONAL.fullmatch(digits):
        raise InvalidPhoneNumber(
            "write 8 to 15 digits after the +, beginning with the country code, not with 0"
        )
    if "(0)" not in text.replace(" ", ""):
        return f"+{digits}"
    # The 0 in brackets is dialed only within the country, except in Italy, where it belongs to the
    # number.
    number = _parsed(text, None)
    if number is None:
        raise InvalidPhoneNumber("leave out the (0) after the country code")
    return number


def _national(text: str, digits: str, region: str) -> str:
    country_code = str(phonenumbers.country_code_for_region(region))
    if digits.startswith(country_code) and (number := _parsed(f"+{text}", None, valid=True)):
        return number
    if number := _parsed(digits, region, valid=True):
        return number
    if _INTERNATIONAL.fullmatch(digits) and "(0)" not in text.replace(" ", ""):
        return f"+{digits}"
    if digits.startswith("0") or "(0)" in text.replace(" ", ""):
        raise InvalidPhoneNumber(
            f"this is not a number of the region {region}: write it with its country code, for"
            " example +49..., or set CGB_DEFAULT_REGION"
        )
    raise InvalidPhoneNumber("write 8 to 15 digits with the country code, for example +1234567890")


def _parsed(text: str, region: str | None, *, valid: bool = False) -> str | None:
    """Return what the library reads, as E.164; None if it is not a (with `valid`: valid) number."""
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if valid and not phonenumbers.is_valid_number(parsed):
        return None
    number = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    # Some landlines are valid with fewer digits than a number with + may have here.
    return number if _INTERNATIONAL.fullmatch(number.removeprefix("+")) else None


def _refuse_what_a_program_made(text: str) -> None:
    if _FRACTION.fullmatch(text):
        raise InvalidPhoneNumber(
            "a program has made a decimal fraction of it: store the column as text, so that nothing"
            " is added behind the digits"
        )
    if _SCIENTIFIC.fullmatch(text):
        raise InvalidPhoneNumber(
            "Excel shortened it: format the column as text, and enter the number again"
        )
    date = _DATE.match(text)
    if date and (date.end() == len(text) or _TIME_OF_DAY.fullmatch(text, date.end())):
        parts = {name: int(value) for name, value in date.groupdict().items() if _is_number(value)}
        if _is_date(parts):
            raise InvalidPhoneNumber("this is a date: check which column holds the phone number")


def _is_number(value: str | None) -> bool:
    return value is not None and value.isdigit()


def _is_date(parts: dict[str, int]) -> bool:
    if "year" in parts:
        year, month, day = parts["year"], parts["month"], parts["day"]
        return 1900 <= year <= 2199 and 1 <= month <= 12 and 1 <= day <= 31
    first, second = parts["first"], parts["second"]
    is_year = 1900 <= parts["last"] <= 2199 or parts["last"] <= 99
    return is_year and 1 <= min(first, second) <= 12 and 1 <= max(first, second) <= 31
