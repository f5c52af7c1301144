"""The rows of a part: which wait, which are being sent, how the others ended, when to report that.

Makes no Temporal calls, so that unit tests can use it.
"""

from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice, takewhile

from send_whatsapp.contract.batch import Counts, Row, RowOutcome
from send_whatsapp.contract.errors import utc

REPORT_EVERY_ROWS = 50
REPORT_AFTER = timedelta(seconds=5)
"""A part reports after so many rows, or with the next row that ends after this time."""


class PartRows:
    """Rows start in the order of the part and end in any order.

    A row is in flight during its first attempt; if it is to be tried again, it is retrying until
    it ends. A row that waits for its turn is neither, and one that waits for its send window has
    not started. `settled` rows are not sent; their outcome is known already.
    """

    def __init__(self, rows: Sequence[Row] = (), settled: Sequence[RowOutcome] = ()) -> None:
        self._rows = rows
        self._settled = settled
        self._waiting = deque(rows)
        self._retrying = set[str]()
        self._in_queue = set[str]()
        self._outside: dict[str, datetime] = {}
        self._ended: dict[str, RowOutcome] = {}
        self._tally = Counter[str](row.outcome for row in settled)
        self.retry_reason: str | None = None
        """Why the latest row that is to be tried again failed in its first attempt."""
        self.last_end = ""
        """The latest time at which a row ended (UTC, ISO 8601); empty before the first one."""
        self.wakes = 0
        """How often the batch has said that a window opens, as far as the rows follow it."""
        self.separations = 0
        """How often the rows were separated by their windows."""

    @property
    def waiting(self) -> int:
        """How many rows have not started and may start now."""
        return len(self._waiting)

    @property
    def outside_window(self) -> int:
        """How many rows have not started because they wait for their send window."""
        return len(self._outside)

    @property
    def opens_at(self) -> datetime | None:
        """When the first of the windows opens that rows wait for."""
        return min(self._outside.values(), default=None)

    @property
    def not_started(self) -> list[Row]:
        """The rows that have not started."""
        keys = {*(row.key for row in self._waiting), *self._outside}
        return [row for row in self._rows if row.key in keys]

    @property
    def is_idle(self) -> bool:
        """Whether all rows that have not ended wait for their send windows."""
        return len(self._ended) + self.outside_window == len(self._rows)

    @property
    def in_flight(self) -> int:
        """How many rows are in their first attempt."""
        started = len(self._rows) - self.waiting - self.outside_window - len(self._ended)
        return started - self.retrying - self.in_queue

    @property
    def in_queue(self) -> int:
        """How many rows have started and wait for their turn."""
        return len(self._in_queue)

    @property
    def retrying(self) -> int:
        """How many rows are in or wait for a later attempt."""
        return len(self._retrying)

    @property
    def ended(self) -> Collection[RowOutcome]:
        """The rows that this part has sent or tried to send, without the settled ones."""
        return self._ended.values()

    @property
    def counts(self) -> Counts:
        """All rows by outcome, settled ones included."""
        return Counts(**self._tally, running=len(self._rows) - len(self._ended))

    @property
    def outcomes(self) -> list[RowOutcome]:
        """The outcome of every row once all have ended: in the order of the part, then settled."""
        return [*(self._ended[row.key] for row in self._rows), *self._settled]

    @property
    def all_ended(self) -> bool:
        """Whether every row has an outcome."""
        return len(self._ended) == len(self._rows)

    def start(self, count: int) -> list[Row]:
        """Start the next `count` rows that wait, and return them."""
        return [self._waiting.popleft() for _ in range(min(count, self.waiting))]

    def start_row(self, row: Row) -> None:
        """Start one row that has not started, also outside of its send window."""
        if self._outside.pop(row.key, None) is None:
            self._waiting.remove(row)

    def start_while(self, condition: Callable[[Row], bool], most: int) -> list[Row]:
        """Start the next rows that wait, up to `most` and up to the first that does not fit."""
        return self.start(len(list(takewhile(condition, islice(self._waiting, max(most, 0))))))

    def separate(self, outside: Mapping[str, datetime], wakes: int) -> None:
        """Let rows that have not started wait until their windows open; all others may start.

        `outside` has these times by the keys of rows.
        """
        waiting = deque(row for row in self.not_started if row.key not in outside)
        self._waiting, self._outside = waiting, dict(outside)
        self.wakes = wakes
        self.separations += 1

    def put_back(self, rows: Sequence[Row]) -> None:
        """Let rows wait again that did not start after all."""
        keys = {row.key for row in rows}
        self._in_queue -= keys
        self._retrying -= keys
        self._waiting.extendleft(reversed(rows))

    def wait_for_turn(self, row: Row) -> None:
        """Remember that a row must wait for its turn, so that others may start in its place."""
        self._in_queue.add(row.key)

    def has_turn(self, row: Row) -> None:
        """Remember that a row that waited for its turn is in flight."""
        self._in_queue.discard(row.key)

    def waits_for_turn(self, row: Row) -> bool:
        """Return whether a row waits for its turn."""
        return row.key in self._in_queue

    def retry(self, row: Row, reason: str | None) -> None:
        """Remember that a row in flight is to be tried again, and why the last one failed."""
        self._retrying.add(row.key)
        self.retry_reason = reason

    def end(self, outcome: RowOutcome) -> None:
        """Keep the outcome of a row that has started."""
        self._retrying.discard(outcome.key)
        self._in_queue.discard(outcome.key)
        self._outside.pop(outcome.key, None)
        self._tally[outcome.outcome] += 1
        self._ended[outcome.key] = outcome
        self.last_end = max(self.last_end, outcome.finished_at or "")


class ReportSchedule:
    """Decides when a part reports its rows: seldom, but before the batch's counts are stale.

    Knows the time only from the rows that have ended: the workflow's clock may differ in a replay
    (ADR 0004).
    """

    def __init__(self) -> None:
        self._ended = 0
        self._phase: tuple[object, ...] = (False, False, False, 0)
        self._next_at = ""

    def is_due(self, rows: PartRows) -> bool:
        """Return whether the rows have changed so much, or so long ago, that a report is due."""
        newly_ended = len(rows.ended) - self._ended
        if _phase(rows) != self._phase:
            return True  # The batch may start its next part.
        return newly_ended >= REPORT_EVERY_ROWS or (
            newly_ended > 0 and rows.last_end >= self._next_at
        )

    def reported(self, rows: PartRows) -> None:
        """Remember what the part is about to report."""
        self._ended = len(rows.ended)
        self._phase = _phase(rows)
        if rows.last_end:
            self._next_at = utc(datetime.fromisoformat(rows.last_end) + REPORT_AFTER)


def _phase(rows: PartRows) -> tuple[object, ...]:
    """Return what the batch must know at once.

    That is whether all rows have started that may start, none is in flight any more, and some are
    retrying; and which rows wait for their send windows.
    """
    all_started = rows.waiting == 0
    return (
        all_started,
        all_started and rows.in_flight == 0,
        rows.retrying > 0,
        rows.separations,
    )
