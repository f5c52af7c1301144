"""Time zones whose clocks show what a test needs, so that a send window opens in a few seconds."""

import struct
import zoneinfo
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

SOMEWHERE = "Antarctica/Troll"
"""A zone whose clock tests set; no phone number is there."""


_DAY = timedelta(days=1)
_WEST = timedelta(hours=23)
"""Far enough in the west that a clock can be set forward by some hours."""


class Clocks:
    """The clocks of this process; `variables` set those of another one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.variables = {"PYTHONTZPATH": f"{folder}:/usr/share/zoneinfo"}

    def show(
        self, time: str, zone: str = SOMEWHERE, *, then: tuple[float, str] | None = None
    ) -> datetime:
        """Let the clock of a zone show a time (`HH:MM:SS`) now; return now.

        `then` sets it forward: after so many seconds it shows that time.
        """
        now = datetime.now(UTC).replace(microsecond=0)
        offset = (_of_day(time) - _of_day(now.strftime("%H:%M:%S")) + _WEST) % _DAY - _WEST
        offsets, changes_at = [offset], None
        if then:
            seconds, shows = then
            changes_at = now + timedelta(seconds=seconds)
            before = _of_day((changes_at + offset).strftime("%H:%M:%S"))
            offsets.append(offset + (_of_day(shows) - before) % _DAY)
        path = self._folder / zone
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_time_zone(offsets, changes_at))
        ZoneInfo.clear_cache()
        return now


@contextmanager
def clocks_in(folder: Path) -> Iterator[Clocks]:
    """Let tests set clocks, whose files are in a folder."""
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath([str(folder), *before])
    try:
        yield Clocks(folder)
    finally:
        zoneinfo.reset_tzpath(before)
        ZoneInfo.clear_cache()


def _of_day(time: str) -> timedelta:
    hours, minutes, seconds = map(int, time.split(":"))
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _time_zone(offsets: list[timedelta], changes_at: datetime | None) -> bytes:
    """Return a time zone file (RFC 9636) with one offset, or with one until it changes."""
    times = [int(changes_at.timestamp())] if changes_at else []
    kinds = [struct.pack(">lBB", int(offset.total_seconds()), 0, 0) for offset in offsets]
    header = struct.pack(">4sc15x6l", b"TZif", b"\0", 0, 0, 0, len(times), len(kinds), 4)
    changes = struct.pack(f">{len(times)}l{len(times)}B", *times, *(1 for _ in times))
    return header + changes + b"".join(kinds) + b"TST\0"
