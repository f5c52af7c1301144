"""Opening times: the zones of a number, clocks that change, midnight, and several zones."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import tzdata

from send_whatsapp.contract.errors import utc
from send_whatsapp.contract.opening_times import Opening, opening, zones_of
from send_whatsapp.contract.send_window import SendWindow

MOSCOW_OR_ANY = "+79161234567"
"""A mobile number of Russia, which may be anywhere from Kaliningrad to Kamchatka."""

ANYWHERE_IN_AMERICA = "+15005550006"
"""A number with the country code 1 that belongs to no place: from Guam to Newfoundland."""


def opens(from_: str, to: str, zone: str, at: str, number: str = "+1234567890") -> Opening:
    window = SendWindow.model_validate({"from": from_, "to": to, "zone": zone})
    return opening(window, number, datetime.fromisoformat(at))


def shown(found: Opening) -> tuple[str, str]:
    return str(found), utc(found.closes_at)


@pytest.mark.parametrize(
    ("number", "zones"),
    [
        ("+14155552671", ("America/Los_Angeles",)),
        ("+12125552671", ("America/New_York",)),
        ("+972501234567", ("Asia/Jerusalem",)),
        ("+4915123456789", ("Europe/Berlin",)),
        ("+5511987654321", ("America/Sao_Paulo",)),
        # Not assigned, as far as the package knows: judged by its first digits.
        ("+1234567890", ("America/New_York",)),
        # They belong to no country: freephone, satellite, networks.
        *((number, ("Etc/UTC",)) for number in ("+80012345678", "+870773111632", "+8816123456")),
        # No country has this code.
        ("+99912345678", ("Etc/UTC",)),
    ],
)
def test_the_zones_of_a_number(number: str, zones: tuple[str, ...]) -> None:
    assert zones_of(number) == zones


@pytest.mark.parametrize(
    ("number", "first", "count"),
    [(MOSCOW_OR_ANY, "Asia/Almaty", 10), (ANYWHERE_IN_AMERICA, "America/Adak", 30)],
)
def test_a_number_may_be_in_many_zones(number: str, first: str, count: int) -> None:
    zones = zones_of(number)
    assert zones[0] == first
    assert len(zones) > count


def test_every_zone_of_every_number_exists() -> None:
    zones = {zone for found in tzdata.TIMEZONE_DATA.values() for zone in found}
    assert {ZoneInfo(zone).key for zone in zones} == zones


@pytest.mark.parametrize(
    ("window", "at", "expected"),
    [
        # Before, in, at the ends of, and after the window.
        (
            ("09:00", "20:00", "Asia/Jerusalem"),
            "2027-01-31T03:00:00Z",
            ("09:00 in Asia/Jerusalem (2027-01-31T07:00:00Z)", "2027-01-31T18:00:00Z", False),
        ),
        (
            ("09:00", "20:00", "Asia/Jerusalem"),
            "2027-01-31T06:59:59.999Z",
            ("09:00 in Asia/Jerusalem (2027-01-31T07:00:00Z)", "2027-01-31T18:00:00Z", False),
        ),
        (
            ("09:00", "20:00", "Asia/Jerusalem"),
            "2027-01-31T07:00:00Z",
            ("09:00 in Asia/Jerusalem (2027-01-31T07:00:00Z)", "2027-01-31T18:00:00Z", True),
        ),
        (
            ("09:00", "20:00", "Asia/Jerusalem"),
            "2027-01-31T17:59:59.999Z",
            ("09:00 in Asia/Jerusalem (2027-01-31T07:00:00Z)", "2027-01-31T18:00:00Z", True),
        ),
        (
            ("09:00", "20:00", "Asia/Jerusalem"),
            "2027-01-31T18:00:00Z",
            ("09:00 in Asia/Jerusalem (2027-02-01T07:00:00Z)", "2027-02-01T18:00:00Z", False),
        ),
        # Across midnight.
        (
            ("22:00", "06:00", "Asia/Jerusalem"),
            "2027-01-31T03:00:00Z",
            ("22:00 in Asia/Jerusalem (2027-01-30T20:00:00Z)", "2027-01-31T04:00:00Z", True),
        ),
        (
            ("22:00", "06:00", "Asia/Jerusalem"),
            "2027-01-31T21:00:00Z",
            ("22:00 in Asia/Jerusalem (2027-01-31T20:00:00Z)", "2027-02-01T04:00:00Z", True),
        ),
        (
            ("22:00", "06:00", "Asia/Jerusalem"),
            "2027-01-31T12:00:00Z",
            ("22:00 in Asia/Jerusalem (2027-01-31T20:00:00Z)", "2027-02-01T04:00:00Z", False),
        ),
        (
            ("09:00", "00:00", "UTC"),
            "2027-12-31T23:59:00Z",
            ("09:00 in UTC (2027-12-31T09:00:00Z)", "2028-01-01T00:00:00Z", True),
        ),
        # The offset of the next day differs.
        (
            ("09:00", "20:00", "America/New_York"),
            "2027-03-14T02:00:00Z",
            ("09:00 in America/New_York (2027-03-14T13:00:00Z)", "2027-03-15T00:00:00Z", False),
        ),
        (
            ("09:00", "20:00", "America/New_York"),
            "2027-11-07T02:00:00Z",
            ("09:00 in America/New_York (2027-11-07T14:00:00Z)", "2027-11-08T01:00:00Z", False),
        ),
        # The clock skips the time: the moment of the change.
        (
            ("02:30", "20:00", "America/New_York"),
            "2027-03-14T06:00:00Z",
            ("03:00 in America/New_York (2027-03-14T07:00:00Z)", "2027-03-15T00:00:00Z", False),
        ),
        (
            ("00:30", "20:00", "Africa/Cairo"),
            "2027-04-29T21:00:00Z",
            ("01:00 in Africa/Cairo (2027-04-29T22:00:00Z)", "2027-04-30T17:00:00Z", False),
        ),
        (
            ("02:15", "20:00", "Australia/Lord_Howe"),
            "2026-10-03T12:00:00Z",
            ("02:30 in Australia/Lord_Howe (2026-10-03T15:30:00Z)", "2026-10-04T09:00:00Z", False),
        ),
        (
            ("22:00", "02:30", "America/New_York"),
            "2027-03-14T04:00:00Z",
            ("22:00 in America/New_York (2027-03-14T03:00:00Z)", "2027-03-14T07:00:00Z", True),
        ),
        # The whole window is skipped: the next day.
        (
            ("02:15", "02:45", "America/New_York"),
            "2027-03-14T06:00:00Z",
            ("02:15 in America/New_York (2027-03-15T06:15:00Z)", "2027-03-15T06:45:00Z", False),
        ),
        # The clock shows the time twice: the first one.
        (
            ("01:30", "20:00", "America/New_York"),
            "2027-11-07T04:00:00Z",
            ("01:30 in America/New_York (2027-11-07T05:30:00Z)", "2027-11-08T01:00:00Z", False),
        ),
        (
            ("22:00", "01:30", "America/New_York"),
            "2027-11-07T05:29:59Z",
            ("22:00 in America/New_York (2027-11-07T02:00:00Z)", "2027-11-07T05:30:00Z", True),
        ),
        # A day that the calendar skips.
        (
            ("09:00", "20:00", "Pacific/Apia"),
            "2011-12-30T07:00:00Z",
            ("09:00 in Pacific/Apia (2011-12-30T19:00:00Z)", "2011-12-31T06:00:00Z", False),
        ),
        # The last day that a request can name.
        (
            ("09:00", "20:00", "Pacific/Kiritimati"),
            "2199-12-31T23:59:59Z",
            ("09:00 in Pacific/Kiritimati (2199-12-31T19:00:00Z)", "2200-01-01T06:00:00Z", True),
        ),
    ],
)
def test_the_opening_at_a_time(
    window: tuple[str, str, str], at: str, expected: tuple[str, str, bool]
) -> None:
    found = opens(*window, at)
    assert (*shown(found), found.is_open) == expected


@pytest.mark.parametrize(
    ("number", "window", "at", "expected"),
    [
        # Open in all zones: 09:00 in the westernmost until 20:00 in the easternmost one.
        (
            MOSCOW_OR_ANY,
            ("09:00", "20:00"),
            "2027-01-31T03:00:00Z",
            ("09:00 in Europe/Bucharest (2027-01-31T07:00:00Z)", "2027-01-31T08:00:00Z"),
        ),
        (
            MOSCOW_OR_ANY,
            ("09:00", "20:00"),
            "2027-01-31T08:00:00Z",
            ("09:00 in Europe/Bucharest (2027-02-01T07:00:00Z)", "2027-02-01T08:00:00Z"),
        ),
        # In summer the clock of the westernmost one is an hour ahead.
        (
            MOSCOW_OR_ANY,
            ("09:00", "20:00"),
            "2027-07-01T03:00:00Z",
            ("09:00 in Europe/Bucharest (2027-07-01T06:00:00Z)", "2027-07-01T08:00:00Z"),
        ),
        # Never open in all of them: the first one counts.
        (
            MOSCOW_OR_ANY,
            ("09:00", "18:00"),
            "2027-01-31T03:00:00Z",
            ("09:00 in Asia/Almaty (2027-01-31T04:00:00Z)", "2027-01-31T13:00:00Z"),
        ),
        (
            ANYWHERE_IN_AMERICA,
            ("09:00", "20:00"),
            "2027-01-31T03:00:00Z",
            ("09:00 in Pacific/Guam (2027-01-31T23:00:00Z)", "2027-01-31T23:30:00Z"),
        ),
        (
            ANYWHERE_IN_AMERICA,
            ("10:00", "18:00"),
            "2027-01-31T03:00:00Z",
            ("10:00 in America/Adak (2027-01-30T20:00:00Z)", "2027-01-31T04:00:00Z"),
        ),
        ("+80012345678", ("09:00", "20:00"), "2027-01-31T03:00:00Z", None),
    ],
)
def test_the_opening_for_a_number(
    number: str, window: tuple[str, str], at: str, expected: tuple[str, str] | None
) -> None:
    found = opens(*window, "recipient", at, number)
    assert shown(found) == (
        expected or ("09:00 in Etc/UTC (2027-01-31T09:00:00Z)", "2027-01-31T20:00:00Z")
    )


TIMES = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
NUMBERS = [MOSCOW_OR_ANY, ANYWHERE_IN_AMERICA, "+14155552671", "+61412345678", "+80012345678"]


@given(
    from_=TIMES,
    to=TIMES,
    number=st.sampled_from(NUMBERS),
    at=st.datetimes(datetime(2000, 1, 1), datetime(2199, 12, 31), timezones=st.just(UTC)),
)
def test_any_window_opens_within_days_and_stays_open_for_a_day_at_most(
    from_: str, to: str, number: str, at: datetime
) -> None:
    if from_ == to:
        return
    found = opens(from_, to, "recipient", at.isoformat(), number)
    assert found.opens_at < found.closes_at
    assert found.closes_at > at
    assert (found.opens_at - at).days < 8
    assert (found.closes_at - found.opens_at).total_seconds() <= 25 * 3600
    # At its opening it is open, and at its end closed.
    again = opens(from_, to, "recipient", found.opens_at.isoformat(), number)
    assert again.is_open
    assert (again.opens_at, again.closes_at) == (found.opens_at, found.closes_at)
    after = opens(from_, to, "recipient", found.closes_at.isoformat(), number)
    assert after.opens_at >= found.closes_at


def test_a_day_has_the_same_windows_however_often_one_asks() -> None:
    at, found = datetime(2027, 3, 12, tzinfo=UTC), list[Any]()
    while len(found) < 10:
        found.append(opens("01:30", "02:30", "America/New_York", at.isoformat()))
        at = found[-1].closes_at
    for before, after in pairwise(found):
        assert 22 * 3600 < (after.opens_at - before.opens_at).total_seconds() < 26 * 3600
