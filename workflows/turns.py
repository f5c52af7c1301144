"""The turns of one run: asks for them, waits until they begin, and tells the keeper their end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from activities.preparation import Preparation
    from activities.turns import AskedTurn, AskForTurn, AskForTurns, TurnActivities
    from send_whatsapp.contract.request import SendWhatsAppRequest
    from send_whatsapp.contract.turns import (
        ENDED_SIGNAL,
        Ended,
        HeldTurn,
        Ticket,
        TurnMessage,
        keeper_id,
    )
    from workflows.send_windows import WindowClosed, check_still_open
    from workflows.steps import until_expiry
    from workflows.visibility import RowVisibility, RunVisibility

ASK_AGAIN_S = 10.0
ASK_AGAIN_SOON_S = 2.0
"""A send that waits asks again after this time, soon if the keeper has not answered, in case the
keeper has lost its state; later after a tenth of the time it has waited, so that a long wait does
not fill the history."""


class Turn:
    """One turn of a message: asked for, then granted, then ended."""

    def __init__(
        self, turns: "RunTurns", to: str, ticket: Ticket, *, is_managed: bool = False
    ) -> None:
        self._turns = turns
        self.to = to
        self.ticket = ticket
        self.asked: AskedTurn | None = None
        """The keeper's latest answer; None if it has not answered yet."""
        self.message: TurnMessage | None = None
        """What the keeper has signalled."""
        self.is_ended = False
        self._ended_at: float | None = None
        self.is_managed = is_managed
        """Whether the part of a row asks for the turn and ends it."""

    @property
    def is_granted(self) -> bool:
        """Whether no earlier turn of the person is left."""
        if self.asked is None:  # Then the gap is not known.
            return False
        if self.asked.granted or self.message is None:
            return self.asked.granted
        # After a reset Temporal repeats the signals to the earlier run, whose turn has ended.
        return self.message.granted and self.message.ticket.run_id == self.asked.run_id

    @property
    def begins_at(self) -> datetime:
        """When a turn that is granted begins: after the gap."""
        ends = [turn.last_end for turn in (self.asked, self.message) if turn and turn.last_end]
        gap_s = self.asked.gap_s if self.asked else 0
        return datetime.fromtimestamp(max(ends, default=0) + gap_s, workflow.now().tzinfo)

    @property
    def open_ticket(self) -> Ticket | None:
        """The ticket with which the send itself must ask for its turn."""
        return None if self.is_managed else self.ticket

    @property
    def held(self) -> HeldTurn | None:
        """What activities need to know about the turn, with the run that it was granted to."""
        if self.asked is None:
            return None
        granted_to = self.ticket.model_copy(update={"run_id": self.asked.run_id})
        return HeldTurn(person=self.asked.person, ticket=granted_to)

    @property
    def since(self) -> float | None:
        """When the turn was first asked for, if the keeper has told it."""
        return self.asked.since if self.asked else None

    @property
    def end_message(self) -> Ended | None:
        """What the keeper must know about a turn that has ended, if it knows the turn."""
        if self.asked is None:
            return None
        return Ended(person=self.asked.person, ticket=self.ticket, at=self._ended_at)

    def end(self, *, has_attempted: bool = True) -> None:
        """End the turn; tell the keeper if somebody waits for that, or if nothing was attempted."""
        self.is_ended = True
        self._ended_at = workflow.now().timestamp() if has_attempted else None
        if self.asked and (not has_attempted or (self.message and self.message.wanted)):
            self._turns.tell(self.end_message)

    async def end_is_told(self) -> None:
        """Wait until the keeper knows the end, if it must: a run that is closed tells nothing."""
        await self._turns.all_told()


class RunTurns:
    """The turns that one run has asked for, for itself or for its rows."""

    def __init__(self) -> None:
        self._turns: dict[tuple[int | None, int], Turn] = {}
        self._messages: dict[tuple[int | None, int], TurnMessage] = {}
        self._numbers: dict[int | None, int] = {}
        self._untold: list[Ended] = []
        self._telling: asyncio.Task[None] | None = None

    def new(self, to: str, row: int | None = None, *, is_managed: bool = False) -> Turn:
        """Return a turn to ask for; `to` is the number as the caller wrote it."""
        number = self._numbers.get(row, 0)
        self._numbers[row] = number + 1
        info = workflow.info()
        ticket = Ticket(workflow_id=info.workflow_id, run_id=info.run_id, row=row, number=number)
        turn = Turn(self, to, ticket, is_managed=is_managed)
        turn.message = self._messages.get((row, number))
        self._turns[row, number] = turn
        return turn

    def receive(self, message: TurnMessage) -> None:
        """Take a signal of the keeper, which may arrive before the answer to the ticket."""
        key = message.ticket.row, message.ticket.number
        turn, before = self._turns.get(key), self._messages.get(key)
        if turn and turn.is_ended:
            self.tell(turn.end_message)
            return
        if before is not None and before.ticket == message.ticket:
            message = message.model_copy(
                update={
                    "granted": before.granted or message.granted,
                    "wanted": before.wanted or message.wanted,
                }
            )
        self._messages[key] = message
        if turn:
            turn.message = message

    async def all_told(self) -> None:
        """Wait until the keeper knows every end that it must know."""
        if self._telling is not None:
            await self._telling

    def tell(self, ended: Ended | None) -> None:
        """Tell the keeper that a turn has ended."""
        if ended is None:
            return
        self._untold.append(ended)
        if self._telling is None:
            self._telling = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        keeper = workflow.get_external_workflow_handle(keeper_id(workflow.info().task_queue))
        while self._untold:
            ended, self._untold = self._untold, []
            try:
                await keeper.signal(ENDED_SIGNAL, ended)
            except FailureError:
                workflow.logger.warning("there is no keeper of turns to tell")
        self._telling = None


async def ask(turns: Sequence[Turn], ended: Ended | None = None) -> None:
    """Ask the keeper for turns, after one that has `ended`.

    Without an answer the turns keep the last one.
    """
    asks = [AskForTurn(to=turn.to, ticket=turn.ticket, since=turn.since) for turn in turns]
    try:
        answers = await workflow.execute_local_activity_method(
            TurnActivities.ask_for_turns,
            AskForTurns(asks=asks, ended=ended),
            start_to_close_timeout=timedelta(seconds=10),
            retry_policy=RetryPolicy(maximum_attempts=1),
            summary="Ask for the turn",
        )
    except FailureError:
        return
    for turn, answer in zip(turns, answers, strict=True):
        turn.asked = answer or turn.asked


def ask_again_after(waited: timedelta, *, answered: bool) -> timedelta:
    """Return how long a send that has `waited` waits on before it asks again.

    `answered`: the keeper has answered it before.
    """
    at_least = timedelta(seconds=ASK_AGAIN_S if answered else ASK_AGAIN_SOON_S)
    return max(at_least, waited / 10)


@asynccontextmanager
async def in_turn(
    turn: Turn | None,
    prepared: Preparation,
    request: SendWhatsAppRequest,
    visibility: RunVisibility | RowVisibility,
) -> AsyncIterator[None]:
    """Wait until the turn of this message begins, and end it after the block.

    Does nothing for a message that takes no turn. Gives the turn back if the send window has closed
    before it began, and raises `WindowClosed`. Raises the failure `Expired`.
    """
    if turn is None or turn.is_managed or not prepared.turns:
        yield
        return
    turn.asked = prepared.turn
    has_attempted = True
    try:
        await until_expiry(request.expires_at, _begin(turn, visibility))
        check_still_open(prepared)
        yield
    except WindowClosed:
        has_attempted = False
        raise
    finally:
        turn.end(has_attempted=has_attempted)
        await turn.end_is_told()


async def _begin(turn: Turn, visibility: RunVisibility | RowVisibility) -> None:
    started = workflow.now()
    while not turn.is_granted:
        visibility.waits_for_turn(turn.asked.behind if turn.asked else None)
        waited = workflow.now() - started
        try:
            await workflow.wait_condition(
                lambda: turn.is_granted,
                timeout=ask_again_after(waited, answered=turn.asked is not None),
            )
        except TimeoutError:
            await ask([turn])
    if turn.begins_at > workflow.now():
        visibility.waits_for("Waits for the gap after the previous message to this person.")
        await asyncio.sleep((turn.begins_at - workflow.now()).total_seconds())
    visibility.has_turn()
