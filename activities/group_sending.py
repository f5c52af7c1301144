"""One attempt of a group: its rows side by side, and what is reported about them meanwhile."""

import asyncio
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime

from pydantic import BaseModel
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.attempts import not_confirmed, store_heartbeat
from activities.contacts import ContactActivities
from activities.failures import map_unexpected_errors
from activities.messages import Message
from activities.sender import AttemptFailed, Sender
from activities.turns import Turns
from send_whatsapp.contract.attempts import (
    GROUP_STOPPED,
    AttemptFailure,
    AttemptRecord,
    FailedAttempt,
    GroupProgress,
    RowEnd,
)
from send_whatsapp.contract.errors import utc

_current_row: ContextVar[int | None] = ContextVar("current_row", default=None)

START_WITHIN_S = 10.0
"""Time in which the sends of a group start, so that each of them has the whole `CGB_TIMEOUT`."""

REPORT_EVERY_S = 0.5
"""How often a group reports its rows. If its worker is killed, earlier outcomes are known."""


class GroupRow(BaseModel):
    """One row: its number, the phone number as the caller wrote it, and the message.

    The contact id of the message is not known yet.
    """

    row: int
    to: str
    message: Message


def log_fields() -> dict[str, int]:
    """Return the number of the row that the current task sends, for its log lines."""
    row = _current_row.get()
    return {} if row is None else {"row": row}


class GroupSending:
    """The rows of one attempt of the activity, each with its end as soon as it is known."""

    def __init__(
        self,
        sender: Sender,
        contacts: ContactActivities,
        turns: Turns,
        places: asyncio.Semaphore,
        rows: list[GroupRow],
        earlier: GroupProgress | None,
    ) -> None:
        self._sender = sender
        self._contacts = contacts
        self._places = places
        self._turns = turns
        self._ends = {end.row: end for end in earlier.ends} if earlier else {}
        self._rows = [row for row in rows if row.row not in self._ends]
        self._total = len(rows)
        self._start_by = asyncio.get_running_loop().time() + START_WITHIN_S
        self._started_at = utc(datetime.now(UTC))
        self._lookups: set[asyncio.Future[str | None]] = set()
        self._stopping = False

    async def confirm_start(self) -> None:
        """Wait until the server has stored that the group starts.

        Raises a failure that is retried if it does not, or if the worker may not send.
        """
        what = "the start of the group"
        try:
            await self._sender.admit()
            await store_heartbeat(self._progress(settled=False), self._start_by, what)
        except (ApplicationError, asyncio.CancelledError) as error:
            activity.heartbeat(self._progress(settled=True))
            if isinstance(error, ApplicationError):
                raise
            raise not_confirmed(what, error) from None

    async def send(self) -> list[RowEnd]:
        """Send the rows until all have ended or the activity is to stop."""
        sends = asyncio.gather(*(self._send(row) for row in self._rows))
        reporting = asyncio.create_task(self._report())
        try:
            await asyncio.shield(sends)
        except asyncio.CancelledError:
            await self._stop(sends)
        finally:
            reporting.cancel()
        return list(self._ends.values())

    async def _stop(self, sends: asyncio.Future[list[None]]) -> None:
        """Let no further row start, and wait for the sends in flight.

        Raises `GroupStopped` if the rest is to be sent by the next attempt. It carries the progress
        because a group that is cancelled meanwhile has no next attempt.
        """
        self._stopping = True
        for lookup in self._lookups:
            lookup.cancel()
        while not sends.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(sends)
        why = activity.cancellation_details()
        if why and (why.paused or why.reset) and not why.cancel_requested:
            progress = self._progress(settled=True)
            activity.heartbeat(progress)
            raise ApplicationError(
                "The group was paused or reset; its next attempt sends the other rows",
                progress,
                type=GROUP_STOPPED,
            )

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(REPORT_EVERY_S)
            activity.heartbeat(self._progress(settled=False))

    def _progress(self, *, settled: bool) -> GroupProgress:
        return GroupProgress(
            summary=f"{len(self._ends):,} of {self._total:,} rows have ended",
            started_at=self._started_at,
            settled=settled,
            ends=list(self._ends.values()),
        )

    async def _send(self, row: GroupRow) -> None:
        # Each row has its own task, so this number appears only in the log lines of this row.
        _current_row.set(row.row)
        async with self._places:
            end = await self._attempt(row)
        if end is not None:
            end.failed_at = utc(datetime.now(UTC)) if end.failure else None
            self._ends[row.row] = end
            turn = row.message.turn
            wants_another = end.failure is not None and end.failure.retry_delay_s is not None
            if turn and not (wants_another or end.window_closed):
                self._turns.ended(turn)

    async def _attempt(self, row: GroupRow) -> RowEnd | None:
        """Return how the first attempt of a row ended; None if it must start in another group.

        That is if the group stops, or has waited too long for a place or for the lookup.
        """
        end = RowEnd(row=row.row)
        if not self._may_start():
            return None
        if self._sender.window_is_closed(row.message):
            return RowEnd(row=row.row, window_closed=True)
        try:
            with map_unexpected_errors():
                self._sender.check_allowed(row.message, AttemptRecord())
                end.to = self._contacts.e164(row.to)
                await self._turns.confirm(row.message.turn)
                end.contact_id = await self._look_up(end.to, row)
        except ApplicationError as error:
            end.failed_lookup = AttemptFailure.of(error)
            return end
        if end.contact_id is None or not self._may_start():
            return None
        if self._sender.window_is_closed(row.message):
            return RowEnd(row=row.row, window_closed=True)
        message = row.message.model_copy(update={"contact_id": end.contact_id})
        known = AttemptRecord(attempt=1)
        try:
            with map_unexpected_errors(sending=True):
                try:
                    await self._sender.admit()
                    self._sender.check_allowed(message, AttemptRecord())
                    budget = self._sender.budget()
                    await self._sender.check_opt_out(message, known, budget)
                    if self._stopping:
                        return None
                    end.accepted = await self._sender.attempt(message, known, budget)
                except AttemptFailed as failed:
                    known = failed.known
                    raise failed.failure from None
        except ApplicationError as error:
            end.failed_send = FailedAttempt(failure=AttemptFailure.of(error), known=known)
        return end

    def _may_start(self) -> bool:
        return not self._stopping and asyncio.get_running_loop().time() < self._start_by

    async def _look_up(self, number: str, row: GroupRow) -> str | None:
        """Return the contact id; None if the group stops first. Raises the lookup's failure."""
        if contact_id := self._contacts.cached(number):
            return contact_id
        lookup = asyncio.ensure_future(self._contacts.look_up(number, row.message.retry))
        self._lookups.add(lookup)
        try:
            return await lookup
        except asyncio.CancelledError:
            # Only this group stops waiting: others may wait for the same contact.
            return None
        except ApplicationError as error:
            # The activity that raises a failure again counts it.
            raise error if error.next_retry_delay else self._sender.handle_failure(error) from None
        finally:
            self._lookups.discard(lookup)
