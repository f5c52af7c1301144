"""Phone numbers: which notations are read, and which are refused."""

import contextlib
import re

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from send_whatsapp.contract.phone import InvalidPhoneNumber, to_e164


@pytest.mark.parametrize(
    ("text", "region", "expected"),
    [
        ("+1234567890", "US", "+1234567890"),
        ("1234567890", "US", "+1234567890"),
        ("(123) 456-7890", "US", "+1234567890"),
        ("  +49 (151) 234-567.8 ", "US", "+491512345678"),
        ("415-555-2671", "US", "+14155552671"),
        ("0151 23456789", "DE", "+4915123456789"),
        ("011 49 151 23456789", "US", "+4915123456789"),
        ("+12345678", "US", "+12345678"),
        ("+123456789012345", "US", "+123456789012345"),
        ("4915123456789", "US", "+4915123456789"),
        # Digits that begin with the region's country code.
        ("4915123456789", "DE", "+4915123456789"),
        ("49 1512 3456789", "DE", "+4915123456789"),
        ("6281234567890", "ID", "+6281234567890"),
        ("38344123456", "XK", "+38344123456"),
        ("14155552671", "US", "+14155552671"),
        ("4155552671", "DE", "+494155552671"),
        # A trunk zero in brackets after the country code; Italy keeps its zero.
        ("+44 (0)20 7946 0958", "US", "+442079460958"),
        ("+44(0)2079460958", "GB", "+442079460958"),
        ("+49 ( 0 ) 151 23456789", "US", "+4915123456789"),
        ("+39 (0)6 12345678", "US", "+390612345678"),
        ("44 (0)20 7946 0958", "GB", "+442079460958"),
        # White space of every kind at the ends.
        ("\u00a0+1234567890\u00a0", "US", "+1234567890"),
        ("\t+1234567890\r\n", "US", "+1234567890"),
        ("\u2003(123) 456-7890\u3000", "US", "+1234567890"),
        # Dots and dashes as separators are neither fractions nor dates.
        ("030.1234567", "DE", "+49301234567"),
        ("415.555.2671", "US", "+14155552671"),
        ("2012-3456-78", "US", "+12012345678"),
        ("0049 151 23456789", "DE", "+4915123456789"),
    ],
)
def test_a_number_in_a_usual_notation_becomes_e164(text: str, region: str, expected: str) -> None:
    assert to_e164(text, region) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "+",
        "call me",
        "+1234567",
        "+1234567890123456",
        "+0123456789",
        "1234",
        "0" * 8,
        "1" * 16,
        "+1 234 567 890 ext 5",
        "+1234567890x5",
        "tel:+1234567890",
        "++1234567890",
        "123+4567890",
        "+123/4567890",
        "../1234567890",
        "+12345\n67890",
        "+12345\t67890",
        "+1234567890\x00",
        "+123\u00a04567890",
        "\u200f+1234567890",
        "+\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669\u0660",
        "+\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19\uff10",
        "1" * 10_000,
        "+" + "-" * 10_000,
    ],
)
def test_anything_else_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(InvalidPhoneNumber) as refused:
        to_e164(text, "US")
    if len(text) > 4:
        assert text not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "region", "advice"),
    [
        ("4155552671.0", "US", "store the column as text"),
        ("4155552671.00", "DE", "store the column as text"),
        ("+4155552671.0", "US", "store the column as text"),
        ("4155552671,0", "US", "store the column as text"),
        ("4155552671.5", "US", "store the column as text"),
        ("\u00a04155552671.0 ", "US", "store the column as text"),
        ("4.15555E+09", "US", "Excel shortened it: format the column as text"),
        ("4,15555e+9", "DE", "Excel shortened it: format the column as text"),
        ("4E+10", "US", "Excel shortened it: format the column as text"),
        ("2026-01-31", "US", "this is a date"),
        ("2026-01-31 00:00:00", "US", "this is a date"),
        ("2026-01-31T09:00:00Z", "US", "this is a date"),
        ("31.01.2026", "DE", "this is a date"),
        ("01/31/2026", "US", "this is a date"),
        ("31-1-2026", "US", "this is a date"),
        ("0151 23456789", "US", "+49..., or set CGB_DEFAULT_REGION"),
        ("0049 151 23456789", "US", "+49..., or set CGB_DEFAULT_REGION"),
        ("44 (0)20 7946 0958", "US", "+49..., or set CGB_DEFAULT_REGION"),
    ],
)
def test_a_number_that_is_refused_gets_advice(text: str, region: str, advice: str) -> None:
    with pytest.raises(InvalidPhoneNumber, match=re.escape(advice)):
        to_e164(text, region)


def test_every_german_mobile_number_without_plus_is_read_in_germany() -> None:
    for number in range(15000000000, 18000000000, 100_003_333):
        e164 = f"+49{number}"
        if phonenumbers.is_valid_number(phonenumbers.parse(e164)):
            assert to_e164(e164[1:], "DE") == e164


@given(
    st.text(alphabet="+0123456789 ().-x\u00a0\u0661", max_size=40), st.sampled_from(["US", "DE"])
)
def test_reading_a_number_twice_changes_nothing(text: str, region: str) -> None:
    try:
        number = to_e164(text, region)
    except InvalidPhoneNumber:
        return
    assert to_e164(number, region) == number


@given(st.text(max_size=60))
def test_any_text_gives_a_number_or_invalid_phone_number(text: str) -> None:
    with contextlib.suppress(InvalidPhoneNumber):
        assert to_e164(text, "US").startswith("+")
