"""The send windows of the rows of a part: which rows may start now, and when the others may."""

from collections.abc import Callable
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from activities.windows import RowWindow, WindowActivities
    from send_whatsapp.contract.batch import Row
    from send_whatsapp.contract.opening_times import Opening
    from workflows.part_rows import PartRows
    from workflows.row_gate import RowGate


class RowWindows:
    """Lets rows wait outside of their windows until their batch says that a window opens.

    `on_expired` is called for each row whose window opens too late for it. The part itself has no
    timers: the batch has one for each opening time, and lets parts start rows only if there is room
    (docs/adr/0009-send-windows.md).
    """

    def __init__(self, rows: PartRows, gate: RowGate, on_expired: Callable[[Row], None]) -> None:
        self._rows = rows
        self._gate = gate
        self._on_expired = on_expired
        self._openings: dict[int, Opening] = {}
        self._closed_at: datetime | None = None
        self._is_judging = False

    @property
    def is_known(self) -> bool:
        """Whether it is known which rows may start."""
        return not self._must_judge and not self._is_judging

    @property
    def _must_judge(self) -> bool:
        return self._closed_at is not None or self._gate.wakes > self._rows.wakes

    def opening_of(self, row: Row) -> Opening | None:
        """Return the time in which a row may be sent; None if it has no window."""
        return self._openings.get(row.row)

    def has_closed(self, row: Row) -> None:
        """Take note that the window of a row had closed before its send began."""
        opening = self._openings.get(row.row)
        closed_at = opening.closes_at if opening else workflow.now()
        self._closed_at = max(closed_at, self._closed_at or closed_at)

    async def watch(self) -> None:
        """Judge the rows again whenever a window has closed or opened, until this is cancelled."""
        while True:
            await workflow.wait_condition(lambda: self._must_judge)
            await self.judge()

    async def judge(self) -> None:
        """Find out for all rows that have not started whether they may start."""
        wakes, at = self._gate.wakes, workflow.now()
        # If the clocks differ, a window closes or opens a bit before it does so here.
        if self._closed_at is not None:
            at = max(at, self._closed_at)
        if wakes > self._rows.wakes and self._rows.opens_at:
            at = max(at, self._rows.opens_at)
        self._closed_at, self._is_judging = None, True
        try:
            await self._find_openings(at)
        finally:
            self._is_judging = False
        self._separate(wakes)

    async def _find_openings(self, at: datetime) -> None:
        asked = [
            RowWindow(
                row=row.row,
                to=row.request.to,
                window=row.request.send_window,
                at=max(at, row.request.send_at or at),
            )
            for row in self._rows.not_started
            if row.request.send_window
        ]
        if not asked:
            return
        found = await workflow.execute_local_activity_method(
            WindowActivities.find_openings,
            asked,
            start_to_close_timeout=timedelta(seconds=10),
            retry_policy=RetryPolicy(maximum_attempts=5),
            summary="Find the opening times of the send windows",
        )
        for opening in found:
            self._openings |= dict.fromkeys(opening.rows, Opening(**dict(opening)))

    def _separate(self, wakes: int) -> None:
        """Let those rows wait whose windows are closed; end those whose windows open too late.

        Decides by the recorded openings, never by the clock (ADR 0004).
        """
        rows = self._rows.not_started
        outside: dict[str, datetime] = {}
        for row in rows:
            opening = self._openings.get(row.row)
            if opening and not opening.is_open:
                outside[row.key] = opening.opens_at
        self._rows.separate(outside, wakes)
        for row in rows:
            opens_at, expires_at = outside.get(row.key), row.request.expires_at
            if opens_at and expires_at and opens_at >= expires_at:
                self._on_expired(row)
