"""How many requests a caller may make in a minute."""

import math
import time


class RateLimit:
    """A token bucket for each caller: full at first, refilled evenly over a minute."""

    def __init__(self, per_minute: int | None) -> None:
        """Allow each caller `per_minute` requests by default; None means no limit."""
        self._default = per_minute
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, caller: str, per_minute: int | None = None) -> int:
        """Take one request; return 0, or after how many seconds the caller may try again.

        `per_minute` is a limit of this caller's own.
        """
        size = per_minute or self._default
        if size is None:
            return 0
        now = time.monotonic()
        left, at = self._buckets.get(caller, (float(size), now))
        left = min(left + (now - at) * size / 60, float(size))
        if left < 1:
            self._buckets[caller] = left, now
            return math.ceil((1 - left) * 60 / size)
        self._buckets[caller] = left - 1, now
        return 0
