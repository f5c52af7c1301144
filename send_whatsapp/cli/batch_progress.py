"""Waits for the end of a batch, and shows its progress and its rows by outcome."""

import asyncio
import math
import sys
import time
from shlex import quote
from typing import Final

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from send_whatsapp.cli.output import Exit, Output, origin_lines
from send_whatsapp.cli.run import Session
from send_whatsapp.cli.waiting import no_worker_hint
from send_whatsapp.client import batches
from send_whatsapp.client.batches import BatchStatus
from send_whatsapp.client.times import local_time, spoken
from send_whatsapp.contract import names
from send_whatsapp.contract.batch import Counts
from send_whatsapp.temporal.connection import TemporalUnavailable

REFRESH_S: Final = 0.5
NO_PROGRESS_S: Final = 2.0
"""After this time without progress we check whether the batch has a worker."""

OUTAGE_S: Final = 60.0
"""How long Temporal may be unreachable before the wait ends with an error."""


def show_counts(output: Output, counts: Counts) -> None:
    """Print the rows by outcome."""
    output.result(counts.model_dump() | {"total": counts.total}, counts.summary())


def show_status(output: Output, status: BatchStatus) -> None:
    """Print the rows by outcome, and what a batch that is running waits for."""
    counts, paused = status.counts, status.paused and status.running
    hint = pause_hint(status) if paused else None
    origin = status.origin
    more = {"total": counts.total, "paused": paused, "pauseReason": status.pause_reason}
    more |= {"caller": origin.caller, "startedBy": origin.started_by, "reason": origin.reason}
    lines = [
        counts.summary(),
        *origin_lines(origin),
        hint or (_outlook(status) if status.running else None),
    ]
    output.result(
        counts.model_dump() | more | batches.timing(status) | {"callback": origin.callback},
        "\n".join(filter(None, lines)),
    )
    if hint and output.as_json:
        output.note(hint)


def _outlook(status: BatchStatus) -> str:
    """Return what a batch that is not paused waits for, and how long it may take."""
    sentences = []
    if status.send_at and status.started_at is None:
        sentences.append(f"The batch starts at {local_time(status.send_at)}.")
    if status.in_queue:
        sentences.append(f"{status.in_queue:,} rows wait for their turn.")
    if status.retrying:
        sentences.append(
            f"{status.retrying:,} rows wait for another attempt: {status.retry_reason}."
        )
    if status.outside_window and status.window_opens_at:
        opens_at = local_time(status.window_opens_at)
        sentences.append(
            f"{status.outside_window:,} rows wait for their send window, the first until"
            f" {opens_at}."
        )
    if status.seconds_left is not None:
        sentences.append(f"About {spoken(status.seconds_left)} left.")
    return " ".join(sentences)


def pause_hint(status: BatchStatus) -> str:
    """Return why a paused batch sends nothing, and the command that continues it."""
    return (
        f"The batch is paused: {status.pause_reason or 'an operator paused it'}. To continue it,"
        f" run: send-whatsapp batch resume {quote(status.key)}"
    )


def watch_hint(key: str) -> str:
    """Return how to come back to a batch that is running."""
    return f"The batch keeps running. Wait for it with: send-whatsapp batch watch {quote(key)}"


async def follow_batch(session: Session, key: str, timeout_s: float | None = None) -> Exit:
    """Wait for the end of a batch and show its rows by outcome; return the exit code.

    The wait also ends after `timeout_s` seconds (None: no limit), and without a terminal, where
    nobody could react, as soon as the batch is paused. Raises the same errors as `wait_for_batch`.
    """
    status = await wait_for_batch(session, key, timeout_s, through_pauses=sys.stderr.isatty())
    counts = status.counts
    if status.running:
        show_status(session.output, status)
        if not status.paused:
            session.output.note(watch_hint(key))
        return Exit.STILL_RUNNING
    show_counts(session.output, counts)
    if counts.outcome == "unknown":
        return Exit.UNKNOWN
    return Exit.ACCEPTED if counts.outcome == "accepted" else Exit.FAILED


async def wait_for_batch(
    session: Session, key: str, timeout_s: float | None = None, *, through_pauses: bool = True
) -> BatchStatus:
    """Return the status of a batch once it has ended, or after `timeout_s` seconds.

    Without `through_pauses` the wait also ends when the batch is paused. Prints its progress on
    standard error. Raises TemporalUnavailable if Temporal does not answer for more than a minute.
    """
    began = last_change = time.monotonic()
    pause_shown = worker_checked = False
    with _ProgressDisplay(session) as display:
        while True:
            status = await _status(session, key)
            waited_s = time.monotonic() - began
            is_over = timeout_s is not None and waited_s >= timeout_s
            if not status.running or is_over or (status.paused and not through_pauses):
                return status
            if display.show(status):
                last_change = time.monotonic()
            if status.paused and not pause_shown:
                session.output.note(pause_hint(status))
            pause_shown = status.paused
            if not worker_checked and time.monotonic() - last_change > NO_PROGRESS_S:
                worker_checked = True
                if hint := await no_worker_hint(session, names.batch_id(key)):
                    session.output.note(hint)
            left_s = math.inf if timeout_s is None else timeout_s - waited_s
            await asyncio.sleep(min(REFRESH_S, left_s))


async def _status(session: Session, key: str) -> BatchStatus:
    """Return the status; try again for up to `OUTAGE_S` if Temporal does not answer."""
    deadline = time.monotonic() + OUTAGE_S
    while True:
        try:
            return await batches.get_status(session.client, key)
        except TemporalUnavailable:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(REFRESH_S)


class _ProgressDisplay(Progress):
    """A progress bar on a terminal; elsewhere a line for each change."""

    def __init__(self, session: Session) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _RowsPerSecond(),
            TimeRemainingColumn(),
            console=session.output.stderr,
            # The command prints the final counts itself.
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._output = session.output
        self._bar = self.add_task("sending", total=None)
        self._shown = ""

    def show(self, status: BatchStatus) -> bool:
        """Show the status; return whether it differs from the one before."""
        counts = status.counts
        text = counts.summary()
        if status.paused:
            text += f" (paused: {status.pause_reason})"
        elif status.send_at and status.started_at is None and status.running:
            text += f" (starts at {local_time(status.send_at)})"
        elif status.retrying:
            text += f" ({status.retrying:,} wait for another attempt: {status.retry_reason})"
        elif status.outside_window and status.window_opens_at:
            opens_at = local_time(status.window_opens_at)
            text += f" ({status.outside_window:,} wait for their send window until {opens_at})"
        elif status.in_queue:
            text += f" ({status.in_queue:,} wait for their turn)"
        self.update(self._bar, total=counts.total, completed=counts.ended, description=text)
        if text == self._shown:
            return False
        self._shown = text
        if self.disable:
            self._output.note(text)
        return True


class _RowsPerSecond(ProgressColumn):
    """How many rows end each second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")
