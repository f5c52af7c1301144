"""Phone numbers: from any usual notation to E.164."""

import re

import phonenumbers

_NOTATION = re.compile(r"\+?[0-9 ().-]+", re.ASCII)
_INTERNATIONAL = re.compile(r"[1-9][0-9]{7,14}", re.ASCII)


class InvalidPhoneNumber(ValueError):
    """The text is not a phone number; the message says what is expected, without the text."""


def to_e164(text: str, region: str) -> str:
    """Return the phone number in E.164 form (`+` and 8 to 15 digits).

    `region` (ISO 3166) is tried first for a number without `+`. The first rule that fits wins
    (docs/request.md, "Phone numbers"): `+` and 8 to 15 digits that do not begin with 0; a number
    that is valid in the region; 8 to 15 digits that do not begin with 0.
    Raises InvalidPhoneNumber for anything else.
    """
    trimmed = text.strip(" ")
    if not _NOTATION.fullmatch(trimmed):
        raise InvalidPhoneNumber(
            "use only digits, spaces, ( ) - . and one leading +, for example +1234567890"
        )
    digits = re.sub(r"[^0-9]", "", trimmed)
    if trimmed.startswith("+"):
        if _INTERNATIONAL.fullmatch(digits):
            return f"+{digits}"
        raise InvalidPhoneNumber(
            "write 8 to 15 digits after the +, beginning with the country code, not with 0"
        )
    try:
        parsed = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        parsed = None
    if parsed and phonenumbers.is_valid_number(parsed):
        number = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
        # Some landlines are valid with fewer digits than a number with + may have here.
        if _INTERNATIONAL.fullmatch(number.removeprefix("+")):
            return number
    if _INTERNATIONAL.fullmatch(digits):
        return f"+{digits}"
    raise InvalidPhoneNumber("write 8 to 15 digits with the country code, for example +1234567890")
