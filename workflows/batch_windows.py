"""The send windows of the rows of a batch: which parts wait for one, and which may continue.

Makes no Temporal calls, so that unit tests can use it. Decides only by reports and by opening times
that have come, never by the clock, so that a replay decides the same (ADR 0004).
"""

from collections.abc import Sequence
from datetime import datetime

from send_whatsapp.contract.part_signals import PartProgress
from send_whatsapp.contract.parts import BatchCheckpoint


class BatchWindows:
    """The parts with rows outside of their windows."""

    def __init__(self, checkpoint: BatchCheckpoint, part_count: int) -> None:
        self._checkpoint = checkpoint
        self._part_count = part_count

    @property
    def active(self) -> Sequence[str]:
        """The running parts that should report soon; others only wait for a window."""
        cancelled, running = self._checkpoint.cancelled, self._checkpoint.running
        return [id_ for id_, part in running.items() if cancelled or not part.is_idle]

    @property
    def openings(self) -> list[datetime]:
        """The times at which windows open that rows wait for, each once."""
        opened_until = self._checkpoint.opened_until
        times = {part.opens_at for part in self._checkpoint.running.values() if part.opens_at}
        return sorted(time for time in times if opened_until is None or time > opened_until)

    @property
    def outside_window(self) -> int:
        """How many rows wait for a window, in parts that may not continue yet."""
        openings = set(self.openings)
        parts = self._checkpoint.running.values()
        return sum(part.outside_window for part in parts if part.opens_at in openings)

    @property
    def due(self) -> PartProgress | None:
        """The first part in which rows wait for a window that has opened."""
        opened_until = self._checkpoint.opened_until
        for part in self._checkpoint.running.values():
            if part.opens_at and opened_until and part.opens_at <= opened_until:
                return part
        return None

    def open(self, at: datetime) -> None:
        """Let rows start whose windows open at this time or before it."""
        self._checkpoint.opened_until = max(at, self._checkpoint.opened_until or at)

    def wake(self, part: PartProgress) -> None:
        """Let a part continue; until it reports, all its waiting rows count as rows to start."""
        self._checkpoint.running[part.part] = _continued(part, part.wakes + 1)

    def report(self, part: PartProgress) -> None:
        """Take the report of a running part, which may not know yet that it may continue."""
        wakes = self._checkpoint.running[part.part].wakes
        if part.wakes < wakes:
            part = _continued(part, wakes)
        self._checkpoint.running[part.part] = part

    def note_idle(self, now: datetime) -> None:
        """Measure how long all rows wait for their windows; only estimates depend on it."""
        checkpoint = self._checkpoint
        parts = checkpoint.running.values()
        all_started = checkpoint.started_parts == self._part_count
        if parts and all_started and all(part.is_idle for part in parts):
            checkpoint.idle_since = checkpoint.idle_since or now
        elif checkpoint.idle_since:
            checkpoint.idle_s += max((now - checkpoint.idle_since).total_seconds(), 0)
            checkpoint.idle_since = None


def _continued(part: PartProgress, wakes: int) -> PartProgress:
    waiting = part.waiting + part.outside_window
    update = {"waiting": waiting, "outside_window": 0, "opens_at": None, "wakes": wakes}
    return part.model_copy(update=update)
