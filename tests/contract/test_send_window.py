"""The send window of a request: what it may contain, and what is said about anything else."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from send_whatsapp import SendWhatsAppRequest, SendWindow
from send_whatsapp.contract.validation import problems

TIME = "hours and minutes from 00:00 to 23:59, such as 09:00"
ZONE = "recipient, or a name of the IANA time zone database such as Asia/Jerusalem"

NOT_TEXT: list[Any] = [None, 20, 20.5, True, [], {}]


def read(window: Any) -> SendWhatsAppRequest:
    fields = {"to": "+1234567890", "message": "m", "sendWindow": window}
    return SendWhatsAppRequest.model_validate_json(json.dumps(fields))


@pytest.mark.parametrize(
    ("window", "shown"),
    [
        ({"from": "09:00", "to": "20:00"}, "09:00 to 20:00 in the recipient's time zone"),
        (
            {"from": "09:00", "to": "20:00", "zone": None},
            "09:00 to 20:00 in the recipient's time zone",
        ),
        (
            {"from": "09:00", "to": "20:00", "zone": "recipient"},
            "09:00 to 20:00 in the recipient's time zone",
        ),
        (
            {"from": "22:00", "to": "06:30", "zone": "Asia/Jerusalem"},
            "22:00 to 06:30 in Asia/Jerusalem",
        ),
        ({"from": "00:00", "to": "23:59", "zone": "UTC"}, "00:00 to 23:59 in UTC"),
        ({"from": "09:00", "to": "00:00", "zone": "US/Eastern"}, "09:00 to 00:00 in US/Eastern"),
    ],
)
def test_a_window_has_two_times_and_perhaps_a_zone(window: dict[str, Any], shown: str) -> None:
    assert str(read(window).send_window) == shown


def test_null_means_no_window() -> None:
    assert read(None).send_window is None


def test_a_window_in_python() -> None:
    window = SendWindow(from_="09:00", to="20:00")
    request = SendWhatsAppRequest(to="+1234567890", message="m", send_window=window)
    assert request.send_window == read({"from": "09:00", "to": "20:00"}).send_window


@pytest.mark.parametrize(
    ("window", "field", "problem", "expected"),
    [
        ({"to": "20:00"}, "from", "is missing", "a value"),
        ({"from": "09:00"}, "to", "is missing", "a value"),
        *(
            ({"from": time, "to": "20:00"}, "from", "is not a time of day", TIME)
            for time in (
                *("", " ", "9:00", "09.00", "0900", "09:00:00", "24:00", "23:60", "-1:00", "9 am"),
                *("09:00\n", " 09:00", "٠٩:٠٠", "09:00Z", "2027-01-31T09:00:00Z"),
            )
        ),
        ({"from": "09:00", "to": "24:00"}, "to", "is not a time of day", TIME),
        *(({"from": "09:00", "to": value}, "to", "is not text", TIME) for value in NOT_TEXT),
        (
            {"from": "09:00", "to": "09:00"},
            "to",
            "is the same time as from",
            "another time than from",
        ),
        *(
            (
                {"from": "09:00", "to": "20:00", "zone": zone},
                "zone",
                "is not a known time zone",
                ZONE,
            )
            for zone in (
                *("", " ", "Mars/Phobos", "Recipient", "asia/jerusalem", "America", "+02:00"),
                *("../UTC", "/etc/localtime", "UTC\0", "x" * 10_000, "localtime", "posixrules"),
            )
        ),
        ({"from": "09:00", "to": "20:00", "zone": 2}, "zone", "is not text", "text"),
        (
            {"from": "09:00", "to": "20:00", "days": [1]},
            "days",
            "is not a known field",
            "one of the documented fields",
        ),
        (
            {"from_": "09:00", "to": "20:00"},
            "from_",
            "is not a known field",
            "from, its JSON name",
        ),
        *(
            (window, "", "is not an object", "one JSON object")
            for window in ("09:00-20:00", 5, True, [], ["09:00", "20:00"])
        ),
    ],
)
def test_anything_else_is_refused_with_what_is_expected(
    window: Any, field: str, problem: str, expected: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        read(window)
    [found] = problems(refused.value)
    path = f"sendWindow.{field}" if field else "sendWindow"
    assert (found.field, found.problem, found.expected) == (path, problem, expected)


def test_requests_with_different_windows_are_different_messages() -> None:
    by_day = read({"from": "09:00", "to": "20:00"})
    assert by_day.body() == read({"from": "09:00", "to": "20:00", "zone": "recipient"}).body()
    assert by_day.body() != read(None).body()
    assert by_day.body() != read({"from": "09:00", "to": "21:00"}).body()
    assert by_day.body() != read({"from": "09:00", "to": "20:00", "zone": "UTC"}).body()
    assert "sendWindow" not in json.loads(read(None).body())
