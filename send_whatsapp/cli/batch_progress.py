"""Waits for the end of a batch, and shows its progress and its rows by outcome."""

import asyncio
import sys
import time
from typing import Any, Final

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

from send_whatsapp.cli.output import Exit, Output
from send_whatsapp.cli.run import Session
from send_whatsapp.cli.waiting import no_worker_hint
from send_whatsapp.client import batches
from send_whatsapp.client.batches import BatchStatus
from send_whatsapp.contract.batch import Counts
from send_whatsapp.temporal.connection import TemporalUnavailable
from send_whatsapp.temporal.task_queue import no_worker

REFRESH_S: Final = 0.5
NO_PROGRESS_S: Final = 2.0
"""After this time without progress we check whether the batch has a worker."""

OUTAGE_S: Final = 60.0
"""How long Temporal may be unreachable before the wait ends with an error."""


def show_counts(output: Output, counts: Counts, more: dict[str, Any] | None = None) -> None:
    """Print the rows by outcome; the JSON object has the fields of `more` as well."""
    output.result(counts.model_dump() | {"total": counts.total} | (more or {}), counts.summary())


async def follow_batch(session: Session, key: str) -> Exit:
    """Wait for the end of a batch and show its rows by outcome; return the exit code.

    Raises the same errors as `wait_for_batch`.
    """
    counts = await wait_for_batch(session, key)
    show_counts(session.output, counts)
    if counts.outcome == "unknown":
        return Exit.UNKNOWN
    return Exit.ACCEPTED if counts.outcome == "accepted" else Exit.FAILED


async def wait_for_batch(session: Session, key: str) -> Counts:
    """Return the final counts of a batch once it has ended.

    Prints its progress on standard error. Raises TemporalUnavailable if Temporal does not answer
    for more than a minute.
    """
    with _ProgressDisplay(session) as display:
        last_change, hint_given = time.monotonic(), False
        while True:
            status = await _status(session, key)
            if display.show(status):
                last_change = time.monotonic()
            if not status.running:
                return status.counts
            if not hint_given and time.monotonic() - last_change > NO_PROGRESS_S:
                hint_given = True
                if await no_worker(session.client, session.settings.task_queue):
                    session.output.note(no_worker_hint(session.settings.task_queue))
            await asyncio.sleep(REFRESH_S)


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
