"""The rows of a part: which wait, which are in flight, how the others ended, when to report that.

Makes no Temporal calls, so that unit tests can use it.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from send_whatsapp.contract.batch import Counts, Row, RowOutcome

REPORT_EVERY_ROWS = 25
REPORT_AFTER = timedelta(seconds=5)
"""A part reports after so many rows, or with the next row that ends after this time."""


class PartRows:
    """Rows in the order of the part: they start in this order and end in any order.

    `settled` rows are not sent; their outcome is known already.
    """

    def __init__(self, rows: Sequence[Row] = (), settled: Sequence[RowOutcome] = ()) -> None:
        self._rows = rows
        self._settled = settled
        self._started = 0
        self._ended: dict[str, RowOutcome] = {}
        self._tally = Counter[str](row.outcome for row in settled)

    @property
    def waiting(self) -> int:
        """How many rows have not started."""
        return len(self._rows) - self._started

    @property
    def in_flight(self) -> int:
        """How many rows have started and not ended."""
        return self._started - len(self._ended)

    @property
    def ended(self) -> Collection[RowOutcome]:
        """The rows that this part has sent or tried to send, without the settled ones."""
        return self._ended.values()

    @property
    def counts(self) -> Counts:
        """All rows by outcome, settled ones included."""
        return Counts(**self._tally, running=self.waiting + self.in_flight)

    @property
    def outcomes(self) -> list[RowOutcome]:
        """The outcome of every row once all have ended: in the order of the part, then settled."""
        return [*(self._ended[row.key] for row in self._rows), *self._settled]

    def next_rows(self, count: int) -> Sequence[Row]:
        """Return the next rows to start, at most `count`; they keep waiting."""
        return self._rows[self._started : self._started + count]

    def start_next(self) -> Row:
        """Start the next row that waits, and return it."""
        row = self._rows[self._started]
        self._started += 1
        return row

    def end(self, outcome: RowOutcome) -> None:
        """Keep the outcome of a row that has started."""
        self._tally[outcome.outcome] += 1
        self._ended[outcome.key] = outcome


class ReportSchedule:
    """Decides when a part reports its rows: seldom, but before the batch's counts are stale."""

    def __init__(self) -> None:
        self._ended = 0
        self._all_started = False
        self._next_at: datetime | None = None

    def is_due(self, rows: PartRows, now: datetime) -> bool:
        """Return whether the rows have changed so much, or so long ago, that a report is due."""
        newly_ended = len(rows.ended) - self._ended
        if rows.waiting == 0 and not self._all_started:
            return True  # The batch may start its next part.
        if newly_ended == 0:
            return False
        return newly_ended >= REPORT_EVERY_ROWS or self._next_at is None or now >= self._next_at

    def reported(self, rows: PartRows, now: datetime) -> None:
        """Remember what the part is about to report."""
        self._ended = len(rows.ended)
        self._all_started = rows.waiting == 0
        self._next_at = now + REPORT_AFTER
