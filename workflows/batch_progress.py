"""The progress of a batch: which parts run, which may start next, and how many rows ended how.

Makes no Temporal calls, so that unit tests can use it. Decides only by what it counts, never by the
time, so that a replay decides the same (ADR 0004).
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from send_whatsapp.contract.batch import BatchState, Counts
from send_whatsapp.contract.names import batch_id, part_id
from send_whatsapp.contract.parts import BatchCheckpoint, BatchInput, PartControl, PartProgress

USUAL_PARTS = 4
"""Parts that usually run at once; each gets its share of the rows in flight."""

MIN_RUNNING_ROWS = 750
"""Another part starts if fewer rows than this are running, so that the last rows of a part, which
may wait for their next attempt, do not delay the batch."""

MAX_PARTS = 20
"""Parts that run at once, at most."""


class BatchProgress:
    """The parts of one batch; `checkpoint` is what its next run must know."""

    def __init__(self, request: BatchInput) -> None:
        self._request = request
        self._parts = request.planned_parts
        self.checkpoint = request.checkpoint or BatchCheckpoint(per_minute=request.per_minute)
        self._not_started = sum(self._parts[self.checkpoint.started_parts :], Counts())

    @property
    def running(self) -> Sequence[str]:
        """The ids of the parts that have started and not ended."""
        return tuple(self.checkpoint.running)

    @property
    def finished(self) -> bool:
        """Whether every part has ended."""
        all_started = self.checkpoint.started_parts == len(self._parts)
        return all_started and not self.checkpoint.running

    @property
    def expects_reports(self) -> bool:
        """Whether running parts have something to report; the rows of a paused batch wait."""
        now = self.checkpoint
        return bool(now.running) and (not now.paused or now.cancelled)

    @property
    def state(self) -> BatchState:
        """The state of the batch, as callers see it."""
        now = self.checkpoint
        running = sum((part.counts for part in now.running.values()), Counts())
        return BatchState(
            key=self._request.key,
            generation=self._request.generation,
            counts=now.ended + running + self._not_started,
            paused=now.paused,
            pause_reason=now.pause_reason,
            cancelled=now.cancelled,
            complete=now.complete,
            per_minute=now.per_minute,
            parts=len(self._parts),
        )

    def next_input(self) -> BatchInput:
        """Return the input of the next run, which continues with this progress."""
        update = {"rows": [], "parts": self._parts, "checkpoint": self.checkpoint}
        return self._request.model_copy(update=update)

    def part_id(self, number: int) -> str:
        """Return the workflow id of a part by its number."""
        return part_id(batch_id(self._request.key), self._request.generation, number)

    def may_start_part(self) -> bool:
        """Return whether the next part may start.

        With a rate one part after the other starts its rows. The parts of a cancelled batch start
        too: they report each of their rows as cancelled.
        """
        now = self.checkpoint
        if now.started_parts == len(self._parts) or len(now.running) >= MAX_PARTS:
            return False
        if now.cancelled:
            return True
        if now.paused:
            return False
        if now.per_minute is not None:
            return not any(part.waiting for part in now.running.values())
        return sum(part.counts.running for part in now.running.values()) < MIN_RUNNING_ROWS

    def start_part(self) -> str:
        """Count the next part as running and return its id."""
        number = self.checkpoint.started_parts
        counts, id_ = self._parts[number], self.part_id(number)
        self.checkpoint.started_parts += 1
        self.checkpoint.running[id_] = PartProgress(part=id_, counts=counts, waiting=counts.running)
        self._not_started -= counts
        return id_

    def control(self, batch: str) -> PartControl:
        """Return the next control message to a part; `batch` is the id of this batch's workflow."""
        request, now = self._request, self.checkpoint
        now.sequence += 1
        starting = sum(part.waiting > 0 for part in now.running.values())
        return PartControl(
            batch=batch,
            sequence=now.sequence,
            in_flight=max(1, request.in_flight // USUAL_PARTS),
            per_minute=None if now.per_minute is None else now.per_minute / max(1, starting),
            pause_after=request.pause_after,
            paused=now.paused,
            resumes=now.resumes,
            cancelled=now.cancelled,
            flows=now.flows or {},
        )

    def report(self, progress: PartProgress) -> None:
        """Take the report of a running part."""
        if progress.ended:
            self.end_part(progress.part, progress.counts)
        else:
            self.checkpoint.running[progress.part] = progress

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
    """Finds parts that reported nothing between two looks: they may have ended from outside."""

    def __init__(self) -> None:
        self._looks = Counter[str]()

    def reported(self, part: str) -> None:
        """Remember that a part has reported."""
        self._looks.pop(part, None)

    def look(self, running: Iterable[str]) -> list[str]:
        """Look at the running parts; return those without a report since the look before."""
        self._looks.update(running)
        return [part for part in running if self._looks[part] > 1]


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

    def spend(self) -> None:
        """Count one step."""
        self._steps_left -= 1
