"""Limits how often the same thing is logged."""

import time


class LogLimit:
    """Allows a line at most once in `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next_at = 0.0

    def allows(self) -> bool:
        """Return whether the line may be logged now."""
        now = time.monotonic()
        if now < self._next_at:
            return False
        self._next_at = now + self._seconds
        return True
