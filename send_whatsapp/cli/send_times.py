"""When messages would go out, for dry runs: at once, at a later time, or when a window opens."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from send_whatsapp.client.times import local_time
from send_whatsapp.contract.errors import utc
from send_whatsapp.contract.opening_times import Opening, opening
from send_whatsapp.contract.request import SendWhatsAppRequest

_MAX_LISTED: Final = 5


class SendTime:
    """When a request would go out if it started now, and no earlier than at `not_before`."""

    def __init__(self, request: SendWhatsAppRequest, not_before: datetime | None = None) -> None:
        now = datetime.now(UTC)
        asked = max(now, request.send_at or now, not_before or now)
        self.opening: Opening | None = None
        if request.send_window:
            next_opening = opening(request.send_window, request.to, asked)
            self.opening = None if next_opening.is_open else next_opening
        self.at = self.opening.opens_at if self.opening else asked
        self.is_now = self.at == now
        self.is_too_late = bool(request.expires_at and self.at >= request.expires_at)

    @property
    def json(self) -> str | None:
        """Return the time (UTC, ISO 8601); None if that is at once."""
        return None if self.is_now else utc(self.at)

    def __str__(self) -> str:
        """Return the time for people."""
        if self.opening:
            return f"at {self.opening}"
        return "at once" if self.is_now else f"at {local_time(self.at)}"


def summary(times: Iterable[SendTime]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return how many rows would go out when, as JSON and for people; empty if all at once."""
    by_time = Counter[tuple[str | None, str]]()
    too_late = 0
    for time in times:
        too_late += time.is_too_late
        if not time.is_too_late:
            by_time[time.json, str(time)] += 1
    if not too_late and all(at is None for at, _ in by_time):
        return [], []
    ordered = sorted(by_time.items(), key=lambda item: item[0][0] or "")
    value: list[dict[str, Any]] = [
        {"at": at, "when": when, "rows": rows} for (at, when), rows in ordered
    ]
    lines = [f"{rows:,} rows would go out {when}" for (_, when), rows in ordered[:_MAX_LISTED]]
    if len(ordered) > _MAX_LISTED:
        lines.append(f"and others at {len(ordered) - _MAX_LISTED:,} later times")
    if too_late:
        value.append({"at": None, "when": "never", "rows": too_late})
        lines.append(f"{too_late:,} rows would expire before their send window opens")
    return value, lines
