"""SendWhatsAppTurns: keeps the turns, one message at a time to one person (ADR 0008)."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from activities.turn_ends import TurnEndActivities
    from send_whatsapp.contract.turns import (
        ENDED_SIGNAL,
        KEEPER_WORKFLOW,
        TAKE_UPDATE,
        TURN_SIGNAL,
        Ended,
        HeldTurn,
        KeeperState,
        Take,
        TakeResult,
        Ticket,
        TurnMessage,
    )
    from workflows.batch_progress import HistoryBudget
    from workflows.tasks import Defects, Tasks
    from workflows.turn_queues import TurnQueues

ASKS_PER_STEP = 20
"""Tickets that make an update count as one step more."""

CHECK_HOLDERS_S = 15
"""How often the keeper looks whether the sends that others wait for are still open."""

CLEAN_UP_S = 120
"""Tickets that nobody waits for are looked at after this time."""

COLLECT_FOR_S = 12
"""A keeper that has lost its state grants nothing for this time: longer than the sends that wait
take to ask again (workflows/turns.py)."""

LOOKED_AT_ONCE = 200


@workflow.defn(name=KEEPER_WORKFLOW)
class TurnKeeper:
    """Grants turns to tickets, and tells sends what changes for them. Runs forever."""

    @workflow.init
    def __init__(self, state: KeeperState) -> None:
        self._queues = TurnQueues(state)
        self._budget = HistoryBudget(state.steps_per_run)
        self._under_way = 0
        self._defects = Defects()
        self._tasks = Tasks(self._defects)

    @workflow.run
    async def run(self, state: KeeperState) -> None:
        """Keep the turns; continue as new before the history grows too long."""
        self._tasks.spawn(self._check_holders())
        self._tasks.spawn(self._clean_up())
        if state.has_lost_state:
            self._tasks.spawn(self._collect())
        while not self._budget.is_spent:
            await workflow.wait_condition(
                lambda: bool(self._queues.messages) or self._budget.is_spent or bool(self._defects)
            )
            self._defects.check()
            messages, self._queues.messages = self._queues.messages, []
            for message in messages:
                self._under_way += 1
                self._tasks.spawn(self._deliver(message))
        # The next run tells sends what this one has to tell from now on.
        await workflow.wait_condition(lambda: self._under_way == 0 or bool(self._defects))
        self._defects.check()
        next_state = self._queues.state(_now())
        workflow.continue_as_new(
            next_state.model_copy(update={"steps_per_run": state.steps_per_run})
        )

    @workflow.update(name=TAKE_UPDATE)
    def take(self, request: Take) -> TakeResult:
        """Give each ticket its place."""
        self._budget.spend(1 + len(request.asks) // ASKS_PER_STEP)
        return TakeResult(places=self._queues.take(request, _now()))

    @workflow.signal(name=ENDED_SIGNAL)
    def ended(self, turns: list[Ended]) -> None:
        """Learn from a run that turns of it have ended."""
        self._budget.spend()
        self._queues.end(turns, _now())

    async def _deliver(self, message: TurnMessage) -> None:
        """Tell a send something; if it is closed, its turn has ended."""
        self._budget.spend()
        ticket = message.ticket
        send = workflow.get_external_workflow_handle(ticket.workflow_id, run_id=ticket.run_id)
        try:
            await send.signal(TURN_SIGNAL, message)
        except FailureError:
            # Others that wait may be closed too.
            queue = self._queues.queue_of(message.person)
            await self._look([(message.person, each) for each in queue[:LOOKED_AT_ONCE]])
        self._under_way -= 1

    async def _check_holders(self) -> None:
        while True:
            await workflow.wait_condition(lambda: self._queues.somebody_waits)
            await asyncio.sleep(CHECK_HOLDERS_S)
            await self._look(self._queues.holders)

    async def _clean_up(self) -> None:
        while True:
            await workflow.wait_condition(lambda: not self._queues.is_empty)
            before = set(self._queues.tickets)
            await asyncio.sleep(CLEAN_UP_S)
            await self._look([each for each in self._queues.tickets if each in before])

    async def _collect(self) -> None:
        await asyncio.sleep(COLLECT_FOR_S)
        self._queues.stop_collecting()

    async def _look(self, tickets: Sequence[tuple[str, Ticket]]) -> None:
        """Remove the tickets whose runs are closed."""
        self._under_way += 1
        for first in range(0, len(tickets), LOOKED_AT_ONCE):
            self._budget.spend()
            chunk = tickets[first : first + LOOKED_AT_ONCE]
            try:
                ended = await workflow.execute_local_activity_method(
                    TurnEndActivities.find_ended_turns,
                    [HeldTurn(person=person, ticket=ticket) for person, ticket in chunk],
                    start_to_close_timeout=timedelta(seconds=30),
                    retry_policy=RetryPolicy(maximum_attempts=1),
                    summary="Look which sends have ended",
                )
            except FailureError:
                workflow.logger.warning("could not look which sends have ended, trying again later")
            else:
                self._queues.end(ended, _now())
        self._under_way -= 1


def _now() -> float:
    return workflow.now().timestamp()
