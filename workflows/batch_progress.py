"""The progress of a batch: which parts run or may start next, and the number of rows per outcome.

Makes no Temporal calls, so that unit tests can use it. Decides only by what it counts, never by the
time, so that a replay decides the same (ADR 0004).
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from send_whatsapp.contract.batch import BatchState, Counts
from send_whatsapp.contract.names import batch_id, part_id
from send_whatsapp.contract.part_signals import PartControl, PartProgress
from send_whatsapp.contract.parts import BatchCheckpoint, BatchInput
from workflows.batch_windows import BatchWindows
from workflows.row_gate import GROUP_ROWS, QUEUE_SHARE

USUAL_PARTS = 4
"""Parts that usually send at once, each with its share of the batch's rows in flight."""

MAX_RETRYING_ROWS = 500
"""Another part starts only if fewer rows than this wait for another attempt, so that an outage of
the provider does not spread to all rows; below it, they do not delay the next rows."""

MAX_PARTS = 20
"""Parts that run at once, at most."""


class BatchProgress:
    """The parts of one batch; `checkpoint` is what its next run must know."""

    def __init__(self, request: BatchInput) -> None:
        self._request = request
        self._planned = request.planned_parts
        self.checkpoint = request.checkpoint or BatchCheckpoint(per_minute=request.per_minute)
        self.windows = BatchWindows(self.checkpoint, len(self._planned))
        self._not_started = sum(self._planned[self.checkpoint.started_parts :], Counts())
        self._ended_before = sum(part.ended for part in self._planned)

    @property
    def running(self) -> Sequence[str]:
        """The ids of the parts that have started and not ended."""
        return tuple(self.checkpoint.running)

    @property
    def finished(self) -> bool:
        """Whether every part has ended."""
        all_started = self.checkpoint.started_parts == len(self._planned)
        return all_started and not self.checkpoint.running

    @property
    def expects_reports(self) -> bool:
        """Whether running parts have something to report; the rows of a paused batch wait."""
        checkpoint = self.checkpoint
        return bool(self.windows.active) and (not checkpoint.paused or checkpoint.cancelled)

    @property
    def state(self) -> BatchState:
        """The state of the batch, as callers see it."""
        checkpoint = self.checkpoint
        parts = checkpoint.running.values()
        running = sum((part.counts for part in parts), Counts())
        return BatchState(
            key=self._request.key,
            generation=self._request.generation,
            counts=checkpoint.ended + running + self._not_started,
            in_queue=sum(part.in_queue for part in parts),
            retrying=sum(part.retrying for part in parts),
            retry_reason=next((part.retry_reason for part in parts if part.retrying), None),
            outside_window=self.windows.outside_window,
            window_opens_at=min(self.windows.openings, default=None),
            idle_since=checkpoint.idle_since,
            idle_s=checkpoint.idle_s,
            paused=checkpoint.paused,
            pause_reason=checkpoint.pause_reason,
            cancelled=checkpoint.cancelled,
            complete=checkpoint.complete,
            per_minute=checkpoint.per_minute,
            send_at=self._request.send_at,
            started_at=checkpoint.started_at,
            ended_before=self._ended_before,
            part_count=len(self._planned),
        )

    def next_input(self) -> BatchInput:
        """Return the input of the next run, which continues with this progress."""
        update = {"rows": [], "parts": self._planned, "checkpoint": self.checkpoint}
        return self._request.model_copy(update=update)

    def part_id(self, number: int) -> str:
        """Return the workflow id of a part by its number."""
        return part_id(batch_id(self._request.key), self._request.generation, number)

    def may_start_part(self) -> bool:
        """Return whether the next part may start, or continue because a window of its rows opens.

        With a rate one part after the other starts its rows. The parts of a cancelled batch start
        too: they report each of their rows as cancelled.
        """
        checkpoint = self.checkpoint
        running = [part for part in checkpoint.running.values() if not part.is_idle]
        due, all_started = self.windows.due, checkpoint.started_parts == len(self._planned)
        if len(running) >= MAX_PARTS or (all_started and due is None):
            return False
        if checkpoint.cancelled:
            return not all_started
        if checkpoint.paused:
            return False
        if sum(part.retrying for part in running) >= MAX_RETRYING_ROWS:
            return False
        if checkpoint.per_minute is not None and any(part.waiting for part in running):
            return False
        taken = sum(map(self._places, running))
        if due:
            rows = 0 if due.waiting else due.outside_window
        else:
            rows = self._planned[checkpoint.started_parts].running
        return taken + min(self._share, rows) <= self._request.in_flight

    def _places(self, part: PartProgress) -> int:
        """Return how many rows in flight a running part may have from now on."""
        if part.waiting:
            return min(self._share, part.counts.running)
        # A part that has started all its rows needs room for those in flight, but no share.
        return max(part.in_flight, min(part.in_flight + part.in_queue, QUEUE_SHARE, self._share))

    @property
    def _share(self) -> int:
        """Rows that one part may have in flight: whole groups, if possible."""
        in_flight = self._request.in_flight
        return in_flight // max(1, min(USUAL_PARTS, in_flight // GROUP_ROWS))

    def start_part(self) -> str:
        """Count the next part as running and return its id; one whose window opens goes first."""
        if (due := self.windows.due) and not self.checkpoint.cancelled:
            self.windows.wake(due)
            return due.part
        number = self.checkpoint.started_parts
        counts, id_ = self._planned[number], self.part_id(number)
        self.checkpoint.started_parts += 1
        self.checkpoint.running[id_] = PartProgress(part=id_, counts=counts, waiting=counts.running)
        self._not_started -= counts
        return id_

    def control(self, batch: str, part: str) -> PartControl:
        """Return the next control message to a part; `batch` is the id of this batch's workflow."""
        request, checkpoint = self._request, self.checkpoint
        checkpoint.sequence += 1
        starting = sum(part.waiting > 0 for part in checkpoint.running.values())
        rate = checkpoint.per_minute
        return PartControl(
            batch=batch,
            sequence=checkpoint.sequence,
            in_flight=self._share,
            per_minute=None if rate is None else rate / max(1, starting),
            pause_after=request.pause_after,
            paused=checkpoint.paused,
            resumes=checkpoint.resumes,
            wakes=known.wakes if (known := checkpoint.running.get(part)) else 0,
            cancelled=checkpoint.cancelled,
            flows=checkpoint.flows or {},
        )

    def report(self, progress: PartProgress) -> None:
        """Take the report of a running part."""
        if progress.ended:
            self.end_part(progress.part, progress.counts)
        else:
            self.windows.report(progress)

    def end_part(self, part: str, counts: Counts) -> None:
        """Count the rows of a part that has ended.

        A part that never existed has no counts: none of its rows was sent.
        """
        planned = self.checkpoint.running.pop(part).counts
        self.checkpoint.ended += counts if counts.total else Counts(cancelled=planned.total)

    def pause(self, reason: str) -> None:
        """Let no further row start until the batch is resumed."""
        self.checkpoint.paused, self.checkpoint.pause_reason = True, reason

    def resume(self) -> None:
        """End a pause."""
        if self.checkpoint.paused:
            self.checkpoint.resumes += 1
        self.checkpoint.paused, self.checkpoint.pause_reason = False, None


class SilentParts:
    """Finds parts that have not reported since the last check; they may have been terminated."""

    def __init__(self) -> None:
        self._checks = Counter[str]()

    def reported(self, part: str) -> None:
        """Remember that a part has reported."""
        self._checks.pop(part, None)

    def check(self, running: Iterable[str]) -> list[str]:
        """Return the running parts that have not reported since the last check."""
        self._checks.update(running)
        return [part for part in running if self._checks[part] > 1]


class HistoryBudget:
    """Counts the steps that add to the history of a run, so that it continues as new in time.

    Temporal's own suggestion to continue as new may differ in a replay (ADR 0004).
    """

    def __init__(self, steps: int) -> None:
        self._steps_left = steps

    @property
    def is_spent(self) -> bool:
        """Whether the run must continue as new."""
        return self._steps_left <= 0

    def spend(self, steps: int = 1) -> None:
        """Count some steps."""
        self._steps_left -= steps
