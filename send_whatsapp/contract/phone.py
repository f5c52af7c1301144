"""Phone numbers: from any usual notation to E.164."""

import re

import phonenumbers

_NOTATION = re.compile(r"\+?[0-9 ().-]+", re.ASCII)
_INTERNATIONAL = re.compile(r"[1-9][0-9]{7,14}", re.ASCII)


class InvalidPhoneNumber(ValueError):
    """The text is no phone number; the message says what is expected and never repeats the text."""


def to_e164(text: str, region: str) -> str:
    """Return the phone number in E.164 form (`+` and 8 to 15 digits).

    `region` is the ISO 3166 code by whose rules a number without `+` is read first. The first rule
    that fits wins (design: "Contract"): `+` and 8 to 15 digits not beginning with 0; a number that
    `phonenumbers` calls valid in the region; 8 to 15 bare digits not beginning with 0.
    Raises InvalidPhoneNumber for anything else.
    """
    trimmed = text.strip(" ")
    if not _NOTATION.fullmatch(trimmed):
        raise InvalidPhoneNumber(
            "write the number with digits, blanks, ( ) - . and one leading + only,"
            " for example +1234567890"
        )
    digits = re.sub(r"[^0-9]", "", trimmed)
    if trimmed.startswith("+"):
        if _INTERNATIONAL.fullmatch(digits):
            return f"+{digits}"
        raise InvalidPhoneNumber("after + a number has 8 to 15 digits and does not begin with 0")
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
    raise InvalidPhoneNumber(
        "a number has 8 to 15 digits with its country code, for example +1234567890"
    )
