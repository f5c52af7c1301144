"""Asks the keeper for turns in the name of this worker's sends (ADR 0008)."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.contacts import ContactActivities
from activities.failures import map_unexpected_errors
from activities.keeper import Keeper
from send_whatsapp.contract.errors import FIRST_BACKOFF_S, ErrorType, FailureDetails
from send_whatsapp.contract.turns import Ask, Ended, HeldTurn, Place, Ticket, person_digest

ASK_WITHIN_S = 1.0
"""How long a step of a send waits for the keeper; the send then asks again, visibly."""


class AskForTurn(BaseModel):
    """A ticket, with the phone number as the caller wrote it. `since` as in `Ask`."""

    to: str
    ticket: Ticket
    since: float | None = None


class AskForTurns(BaseModel):
    """Tickets, and a turn that has ended before them."""

    asks: list[AskForTurn]
    ended: Ended | None = None


class AskedTurn(Place):
    """The place of a ticket, the person, and the seconds between two turns of one person.

    `run_id` is the run that asked. In a reset run it differs from that of the ticket: the replay
    sees the new run id everywhere, but the recorded answer of the keeper.
    """

    person: str
    gap_s: float
    run_id: str


class Turns:
    """Asks for turns in the name of this worker's sends, and reports those that have ended."""

    def __init__(self, keeper: Keeper, *, key: str, gap_s: float) -> None:
        self._keeper = keeper
        self._key = key
        self._gap_s = gap_s

    async def ask(self, number: str, ticket: Ticket) -> AskedTurn | None:
        """Return the place of a ticket, as `ask_many`."""
        return (await self.ask_many([(number, ticket, None)]))[0]

    async def ask_many(
        self, asked: Sequence[tuple[str, Ticket, float | None]]
    ) -> list[AskedTurn | None]:
        """Return the places of tickets, each with its number in E.164 and its `since` (see `Ask`).

        None if the keeper does not answer in time, or has no room.
        """
        asks = [
            Ask(person=person_digest(self._key, number), ticket=ticket, since=since)
            for number, ticket, since in asked
        ]
        asking = [self._keeper.ask(ask, self._gap_s) for ask in asks]
        if asking:
            await asyncio.wait(asking, timeout=ASK_WITHIN_S)
        return [self._answer(ask, each) for ask, each in zip(asks, asking, strict=True)]

    def _answer(self, ask: Ask, asking: asyncio.Future[Place]) -> AskedTurn | None:
        if not asking.done():
            asking.cancel()
            return None
        if asking.exception() or asking.result().is_full:
            return None
        place, run_id = asking.result(), ask.ticket.run_id
        return AskedTurn(**dict(place), person=ask.person, gap_s=self._gap_s, run_id=run_id)

    @contextmanager
    def ending(self, turn: HeldTurn | None) -> Iterator[None]:
        """Report a turn as ended after the block, unless its send wants another attempt."""
        try:
            yield
        except ApplicationError as error:
            if turn and error.non_retryable:
                self.ended(turn)
            raise
        if turn:
            self.ended(turn)

    def ended(self, turn: HeldTurn) -> None:
        """Report that the last attempt of a send has just ended."""
        self._keeper.ended(turn.person, _own(turn.ticket))

    def report(self, ended: Ended) -> None:
        """Report the end of a turn that its run has seen."""
        self._keeper.report(ended)

    async def confirm(self, turn: HeldTurn | None) -> None:
        """Ask for the turn of a send whose run is a reset of the one that the turn was granted to.

        Raises a failure that Temporal retries while others are before it.
        """
        if turn is None:
            return
        ticket = _own(turn.ticket)
        if ticket is turn.ticket:
            return
        asking = self._keeper.ask(Ask(person=turn.person, ticket=ticket), self._gap_s)
        wait_s = FIRST_BACKOFF_S
        try:
            async with asyncio.timeout(ASK_WITHIN_S):
                place = await asking
            if place.granted:
                wait_s = (place.last_end or 0) + self._gap_s - datetime.now(UTC).timestamp()
        except TimeoutError:
            pass
        if wait_s > 0:
            raise not_yet(wait_s)


def _no_turn(ticket: Ticket) -> AskedTurn:
    """Return the answer to a send with a wrong number, which it reports itself."""
    return AskedTurn(granted=True, person="", gap_s=0, run_id=ticket.run_id)


def _own(ticket: Ticket) -> Ticket:
    """Return the ticket of the activity's own run, which differs after a reset."""
    run_id = activity.info().workflow_run_id
    return ticket if ticket.run_id == run_id else ticket.model_copy(update={"run_id": run_id})


def not_yet(wait_s: float) -> ApplicationError:
    """Return the failure of a send that must wait for a new turn, because its run was reset."""
    detail = "the run was reset and waits for a new turn"
    return ApplicationError(
        f"Nothing was sent, because {detail}; Temporal retries it",
        FailureDetails(detail=detail),
        type=ErrorType.PROVIDER_UNAVAILABLE,
        next_retry_delay=timedelta(seconds=max(wait_s, FIRST_BACKOFF_S)),
    )


class TurnActivities:
    """The activities of turns."""

    def __init__(self, turns: Turns, contacts: ContactActivities) -> None:
        self._turns = turns
        self._contacts = contacts

    @activity.defn
    async def ask_for_turns(self, request: AskForTurns) -> list[AskedTurn | None]:
        """Return the place of each ticket; None if the keeper does not answer in time."""
        with map_unexpected_errors():
            if request.ended:
                self._turns.report(request.ended)
            numbers = [self._number(ask.to) for ask in request.asks]
            asked = [
                (number, ask.ticket, ask.since)
                for number, ask in zip(numbers, request.asks, strict=True)
                if number
            ]
            answers = iter(await self._turns.ask_many(asked))
            return [
                next(answers) if number else _no_turn(ask.ticket)
                for number, ask in zip(numbers, request.asks, strict=True)
            ]

    def _number(self, to: str) -> str | None:
        try:
            return self._contacts.e164(to)
        except ApplicationError:
            return None
