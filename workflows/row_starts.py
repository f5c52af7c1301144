"""When the next rows of a part may start: as room, rate, turns and send windows allow."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.part_rows import PartRows
    from workflows.row_gate import GROUP_ROWS, QUEUE_SHARE, RowGate
    from workflows.row_turns import RowTurns
    from workflows.row_windows import RowWindows
    from workflows.tasks import Defects


class RowStarts:
    """Says how many rows may start, which start together as one group."""

    def __init__(
        self,
        rows: PartRows,
        gate: RowGate,
        turns: RowTurns,
        windows: RowWindows,
        defects: Defects,
    ) -> None:
        self._rows = rows
        self._gate = gate
        self._turns = turns
        self._windows = windows
        self._defects = defects

    async def next_count(self) -> int:
        """Wait until rows may start, and return how many; 0 if all have ended or the part stops."""
        while True:
            await workflow.wait_condition(
                lambda: (
                    self._gate.stopped
                    or self._rows.all_ended
                    or self._room() > 0
                    or bool(self._defects)
                )
            )
            self._defects.check()
            if self._gate.stopped or self._rows.all_ended:
                return 0
            if count := self._gate.allowance.take(self._room()):
                return count
            await self._next_tick()

    def _room(self) -> int:
        """Return how many rows may start as one group; those that hold their turn come first."""
        if self._turns.ready or not self._windows.is_known:
            return 0
        return self._room_for(self._rows.waiting)

    def _room_for(self, waiting: int) -> int:
        """Return how many rows may start; a few wait until more can start together."""
        room = min(GROUP_ROWS, self._gate.room(self._rows.in_flight), waiting)
        return room if room >= min(self._gate.least_group, waiting) else 0

    def room_for_ready(self) -> int:
        """Return how many rows that hold their turn may start.

        Once all others have started, the batch keeps only a few places for them, so that it can
        start its next part.
        """
        room = self._room_for(len(self._turns.ready))
        return room if self._rows.waiting else min(room, QUEUE_SHARE - self._rows.in_flight)

    async def _next_tick(self) -> None:
        """Wait for the next tick of the rate, or for another control message."""
        control, allowance = self._gate.control, self._gate.allowance
        try:
            await workflow.wait_condition(
                lambda: self._gate.stopped or self._gate.control is not control,
                timeout=allowance.tick_s,
            )
        except TimeoutError:
            allowance.next_tick()
