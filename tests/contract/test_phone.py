"""Phone numbers: which notations are read, and which are refused."""

import contextlib

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
        "+1234567890\n",
        "\t+1234567890",
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
