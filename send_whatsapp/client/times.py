"""Times and durations as people read them; a time is followed by the zone of this machine."""

import math
import re
from datetime import datetime

_UTC = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")


def local_time(time: datetime) -> str:
    """Return a time to the second, for example `2027-01-31 10:00:00 CET`."""
    try:
        return time.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    except (OverflowError, ValueError):  # the first or the last day that Python knows
        return time.isoformat(sep=" ", timespec="seconds")


def spoken(seconds: float) -> str:
    """Return a duration in its largest unit, for example `40 s`, `12 minutes` or `3 hours`."""
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{round(seconds / length):,} {unit}"
    return f"{math.ceil(seconds):,} s"


def with_local_times(text: str) -> str:
    """Return a text in which each time that is written in UTC, ISO 8601, is local."""
    return _UTC.sub(lambda found: local_time(datetime.fromisoformat(found[0])), text)
