"""When a send window opens and closes: the zones of a phone number, and the clocks of zones.

What is computed here depends on the tables of two packages, so a run records it (ADR 0009).
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import phonenumbers
from phonenumbers import timezone
from pydantic import BaseModel

from send_whatsapp.contract.errors import utc
from send_whatsapp.contract.send_window import RECIPIENT, SendWindow

NO_ZONE: Final = "Etc/UTC"
"""The zone of a number that belongs to no country, for example of a satellite phone."""

_DAYS_BEFORE: Final = 2
_DAYS_AFTER: Final = 8
"""Days in which we look for a time at which the window is open in all zones of a number."""


class Opening(BaseModel):
    """The time in which a message may be sent: from `opens_at` until just before `closes_at`.

    Both are UTC. The message is to be sent `at` a time that is before `closes_at`. `clock` is what
    the clock shows at `opens_at` in `zone`, the zone in which the window opens last.
    """

    at: datetime
    opens_at: datetime
    closes_at: datetime
    clock: str
    zone: str

    @property
    def is_open(self) -> bool:
        """Whether the message may be sent at its time."""
        return self.opens_at <= self.at

    def __str__(self) -> str:
        """Return the start: `09:00 in Asia/Jerusalem (2027-01-31T07:00:00Z)`."""
        return f"{self.clock} in {self.zone} ({utc(self.opens_at)})"


class _Span(NamedTuple):
    opens_at: datetime
    closes_at: datetime
    zone: str


def opening(window: SendWindow, number: str, at: datetime) -> Opening:
    """Return the time in which the window is open, or opens next; `number` is E.164.

    If the number may be in several zones, the window must be open in all of them. If that does not
    happen in a week, the first of the zones counts.
    """
    zones = zones_of(number) if window.zone == RECIPIENT else (window.zone,)
    return _opening(window.from_, window.to, zones, at)


@lru_cache(maxsize=1024)
def zones_of(number: str) -> tuple[str, ...]:
    """Return the time zones in which a number (E.164) may be; NO_ZONE if they are not known."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return (NO_ZONE,)
    # A number that is not assigned (as far as the package knows) is judged by its first digits.
    for zones_for in (
        timezone.time_zones_for_number,
        timezone.time_zones_for_geographical_number,
    ):
        zones = tuple(zones_for(parsed))
        if zones and timezone.UNKNOWN_TIMEZONE not in zones:
            return zones
    return (NO_ZONE,)


@lru_cache(maxsize=1024)
def _opening(from_: str, to: str, zones: tuple[str, ...], at: datetime) -> Opening:
    starts, ends = time.fromisoformat(from_), time.fromisoformat(to)
    by_zone = [_spans(starts, ends, zone, at) for zone in zones]
    common = by_zone[0]
    for spans in by_zone[1:]:
        common = _in_both(common, spans)
    found = next(span for spans in (common, by_zone[0]) for span in spans if span.closes_at > at)
    clock = found.opens_at.astimezone(ZoneInfo(found.zone)).strftime("%H:%M")
    return Opening(
        at=at, opens_at=found.opens_at, closes_at=found.closes_at, clock=clock, zone=found.zone
    )


def _spans(starts: time, ends: time, zone: str, at: datetime) -> list[_Span]:
    """Return when the window is open in one zone, in the days around `at`."""
    clock = ZoneInfo(zone)
    today = at.astimezone(clock).date()
    spans = []
    for day in range(-_DAYS_BEFORE, _DAYS_AFTER):
        first = today + timedelta(days=day)
        last = first if starts < ends else first + timedelta(days=1)
        span = _Span(_first_at(first, starts, clock), _first_at(last, ends, clock), zone)
        # A window that lies in an hour that the clock skips does not open on that day.
        if span.opens_at < span.closes_at:
            spans.append(span)
    return spans


def _in_both(first: Sequence[_Span], second: Sequence[_Span]) -> list[_Span]:
    """Return when both are open, each time with the zone that opens last."""
    common = []
    left = right = 0
    while left < len(first) and right < len(second):
        opens_last = max(first[left], second[right], key=lambda span: span.opens_at)
        closes_at = min(first[left].closes_at, second[right].closes_at)
        if opens_last.opens_at < closes_at:
            common.append(_Span(opens_last.opens_at, closes_at, opens_last.zone))
        if first[left].closes_at <= second[right].closes_at:
            left += 1
        else:
            right += 1
    return common


def _first_at(day: date, of_day: time, clock: ZoneInfo) -> datetime:
    """Return the first moment at which the clock of a zone shows this time, or a later one.

    The clock is set forward: the moment of the change. It is set back and shows the time twice: the
    first of the two.
    """
    local = datetime.combine(day, of_day)
    earlier, later = sorted(
        local.replace(tzinfo=clock, fold=fold).astimezone(UTC) for fold in (0, 1)
    )
    if earlier.astimezone(clock).replace(tzinfo=None) == local:
        return earlier
    # The clock never shows it: the change is between the two.
    while later - earlier > timedelta(seconds=1):
        middle = earlier + (later - earlier) / 2
        middle = middle.replace(microsecond=0)
        if middle.astimezone(clock).replace(tzinfo=None) < local:
            earlier = middle
        else:
            later = middle
    return later
