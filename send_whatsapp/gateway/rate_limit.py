"""How many requests a caller may make in a minute."""

import math
import time


class RateLimit:
    """A token bucket for each caller: full at first, refilled evenly over a minute."""

    def __init__(self, per_minute: int | None) -> None:
        """Allow each caller `per_minute` requests; None means no limit."""
        self._size = per_minute
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, caller: str) -> int:
        """Take one request; return 0, or after how many seconds the caller may try again."""
        if self._size is None:
            return 0
        now = time.monotonic()
        left, at = self._buckets.get(caller, (float(self._size), now))
        left = min(left + (now - at) * self._size / 60, float(self._size))
        if left < 1:
            self._buckets[caller] = left, now
            return math.ceil((1 - left) * 60 / self._size)
        self._buckets[caller] = left - 1, now
        return 0
