"""Decides when the next row of a part may start: control messages, pauses, failures, the rate.

Makes no Temporal calls, so that unit tests can use it.
"""

import math

from send_whatsapp.contract.batch import RowOutcome
from send_whatsapp.contract.errors import ErrorType
from send_whatsapp.contract.part_signals import Flows, PartControl

GROUP_ROWS = 25
"""Rows that start together at most. Larger groups hardly save more CPU, and lose more rows with a
killed worker (docs/performance.md)."""

QUEUE_SHARE = 5
"""Rows in flight of a part that has only rows left that have waited for their turn."""

TICK_S = 1.0
"""Rows start in ticks of about this time, so that many can share a timer and a group."""


class RowGate:
    """Lets rows start as the batch wants, and pauses the part itself after too many failures."""

    def __init__(self) -> None:
        self.control: PartControl | None = None
        self.allowance = RateAllowance()
        self.stop_reason: str | None = None
        self._consecutive_failures = 0
        self._paused_itself = False

    @property
    def stopped(self) -> bool:
        """Whether no further row may start."""
        return self.stop_reason is not None

    @property
    def paused(self) -> bool:
        """Whether rows wait until the batch is resumed."""
        return self._paused_itself or (self.control is not None and self.control.paused)

    @property
    def batch(self) -> str:
        """The workflow id of the batch; empty before its first control message."""
        return self.control.batch if self.control else ""

    @property
    def wakes(self) -> int:
        """How often the batch has said that the send window of waiting rows opens."""
        return self.control.wakes if self.control else 0

    @property
    def flows(self) -> Flows:
        """The flows that the batch has looked up, by template."""
        return self.control.flows if self.control else {}

    @property
    def least_group(self) -> int:
        """Rows that start together at least, if so many wait: small groups cost more per row."""
        in_flight = self.control.in_flight if self.control else 0
        return max(1, min(in_flight, GROUP_ROWS) // 4)

    def stop(self, reason: str) -> None:
        """Let no further row start; the first reason counts."""
        self.stop_reason = self.stop_reason or reason

    def follow(self, control: PartControl) -> None:
        """Follow a control message, unless a later one has arrived before it."""
        if self.control is not None:
            if control.sequence <= self.control.sequence:
                return
            if control.resumes > self.control.resumes:
                self._paused_itself = False
        self.control = control
        self.allowance.set_rate(control.per_minute)
        if control.cancelled:
            self.stop("its batch was cancelled")

    def room(self, in_flight: int) -> int:
        """Return how many rows may start beside so many, if the rate allows them too."""
        if self.control is None or self.paused or self.stopped:
            return 0
        return max(0, self.control.in_flight - in_flight)

    def row_ended(self, row: RowOutcome) -> str | None:
        """Count a row; return why the part pauses itself now, or None.

        Consecutive failures, or one refused API key, mean that the next rows would fail too.
        """
        if row.outcome in ("accepted", "cancelled"):
            self._consecutive_failures = 0
            return None
        if row.error_type == ErrorType.OPTED_OUT:
            # It says nothing about the next rows.
            return None
        self._consecutive_failures += 1
        if self.control is None or self.paused:
            return None
        if row.error_type == ErrorType.UNAUTHORIZED:
            reason = "the provider refuses the key"
        elif self._consecutive_failures >= self.control.pause_after:
            reason = (
                f"{self.control.pause_after} consecutive rows were not accepted,"
                f" the last one with {row.error_type}"
            )
        else:
            return None
        self._paused_itself = True
        self._consecutive_failures = 0
        return reason


class RateAllowance:
    """How many rows may start before the next tick."""

    def __init__(self) -> None:
        self._per_minute: float | None = None
        self._left = 0

    @property
    def is_limited(self) -> bool:
        """Whether there is a rate."""
        return self._per_minute is not None

    def set_rate(self, per_minute: float | None) -> None:
        """Set the rate, in rows a minute (None: no limit); the rest of this tick is discarded."""
        self._per_minute = per_minute
        self._left = 0

    @property
    def tick_s(self) -> float:
        """Length of a tick (seconds): how long its rows take at the configured rate."""
        return self._rows_per_tick * 60 / self._per_minute if self._per_minute else 0

    def take(self, count: int) -> int:
        """Take up to `count` rows; 0 if they must wait for the next tick."""
        if self._per_minute is None:
            return count
        taken = min(count, self._left)
        self._left -= taken
        return taken

    def next_tick(self) -> None:
        """Allow the rows of the next tick."""
        self._left = self._rows_per_tick

    @property
    def _rows_per_tick(self) -> int:
        return math.ceil(self._per_minute * TICK_S / 60) if self._per_minute else 0
