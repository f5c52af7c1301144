"""The worker's connection to the keeper of turns: one update at a time, for many sends."""

import asyncio
import logging
import time
from typing import NamedTuple

from temporalio import activity
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from send_whatsapp.contract.turns import (
    KEEPER_WORKFLOW,
    TAKE_UPDATE,
    Ask,
    Ended,
    KeeperState,
    Place,
    Take,
    TakeResult,
    Ticket,
    keeper_id,
    keeper_task_queue,
)

logger = logging.getLogger(__name__)

UPDATE_WITHIN_S = 8.0

GATHER_S = 0.05
"""Pause after an update, in which tickets gather: half of the cost of turns is the number of
updates. A ticket that is not close to another one does not wait."""

MAX_ASKS = 200
"""Tickets in one update."""

REPORT_AFTER_S = 1.0
REPORT_WITHIN_S = 9.0
"""An end of a turn is reported this long after it: later than the activity's own completion, which
a killed worker may lose, and not after a completion that the SDK has given up. The keeper finds the
others out by itself."""

REPORT_ALONE = 20
"""So many ends that no ticket takes along have an update of their own, such as the last ones of a
batch. Otherwise the next messages to these people would wait until the keeper has read their
runs."""

_WITH_STATE = (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CONTINUED_AS_NEW)


class _Asked(NamedTuple):
    ask: Ask
    answer: asyncio.Future[Place]


class _Ended(NamedTuple):
    person: str
    ticket: Ticket
    at: float


class Keeper:
    """Gathers what the sends of this worker ask the keeper of turns.

    More than ten updates in flight to one run make the server slow (ADR 0008).
    """

    def __init__(self, task_queue: str) -> None:
        self._task_queue = task_queue
        self._asked: list[_Asked] = []
        self._ended: list[_Ended] = []
        self._reports: list[Ended] = []
        self._gap_s = 0.0
        self._calling: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    def ask(self, ask: Ask, gap_s: float) -> asyncio.Future[Place]:
        """Return the future answer to a ticket, TimeoutError if the keeper does not answer.

        Called by an activity, whose client it uses. `gap_s` as in `Take`.
        """
        self._gap_s = gap_s
        answer: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        self._asked.append(_Asked(ask, answer))
        if self._calling is None:
            self._calling = asyncio.create_task(self._call(activity.client()))
        return answer

    def report(self, ended: Ended) -> None:
        """Report the end of a turn, which a run has seen, with the next ticket."""
        self._reports.append(ended)

    def ended(self, person: str, ticket: Ticket) -> None:
        """Report the end of an attempt that ends its turn, with one of the next tickets."""
        self._ended.append(_Ended(person, ticket, time.monotonic()))
        if self._watching is None and len(self._ended) >= REPORT_ALONE:
            self._watching = asyncio.create_task(self._report_alone(activity.client()))

    async def _report_alone(self, client: Client) -> None:
        """Report ends that no ticket takes along."""
        while len(self._ended) >= REPORT_ALONE:
            oldest = self._ended[0]
            await asyncio.sleep(REPORT_WITHIN_S / 2)
            if self._calling is None and self._ended[:1] == [oldest]:
                self._calling = asyncio.create_task(self._call(client))
        self._watching = None

    async def _call(self, client: Client) -> None:
        """Call the keeper until every ticket has an answer."""
        while True:
            asked, self._asked = self._asked[:MAX_ASKS], self._asked[MAX_ASKS:]
            # A step that has waited too long will ask again.
            asked = [each for each in asked if not each.answer.done()]
            if asked or self._ended or self._reports:
                await self._take(client, asked)
                await asyncio.sleep(GATHER_S)
            if not self._asked:
                break
        self._calling = None

    async def _take(self, client: Client, asked: list[_Asked]) -> None:
        ended, reports = self._reportable(), self._reports
        self._reports = []
        now = time.monotonic()
        request = Take(
            asks=[each.ask for each in asked],
            ended=[
                *reports,
                *(
                    Ended(person=each.person, ticket=each.ticket, ago_s=round(now - each.at, 3))
                    for each in ended
                ),
            ],
            gap_s=self._gap_s,
        )
        try:
            async with asyncio.timeout(UPDATE_WITHIN_S):
                result = await self._update(client, request)
        except Exception as error:
            logger.warning("the keeper of turns does not answer (%s)", type(error).__name__)
            self._ended[:0] = ended
            self._reports[:0] = reports
            for each in asked:
                if not each.answer.done():
                    each.answer.set_exception(TimeoutError())
            return
        for each, place in zip(asked, result.places, strict=True):
            if not each.answer.done():
                each.answer.set_result(place)

    def _reportable(self) -> list[_Ended]:
        """Take the ends that may be reported now, and forget those that are too old."""
        now = time.monotonic()
        ready = [each for each in self._ended if each.at <= now - REPORT_AFTER_S]
        self._ended = self._ended[len(ready) :]
        return [each for each in ready if each.at >= now - REPORT_WITHIN_S]

    async def _update(self, client: Client, request: Take) -> TakeResult:
        keeper = client.get_workflow_handle(keeper_id(self._task_queue))
        result: TakeResult
        try:
            result = await keeper.execute_update(TAKE_UPDATE, request, result_type=TakeResult)
            return result
        except (WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError):
            pass
        except RPCError as error:
            if error.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.ABORTED):
                raise
        # There is no keeper, or its run has ended in favor of the next one.
        result = await client.execute_update_with_start_workflow(
            TAKE_UPDATE,
            request,
            result_type=TakeResult,
            start_workflow_operation=WithStartWorkflowOperation(
                KEEPER_WORKFLOW,
                KeeperState(has_lost_state=await self._has_lost_state(client)),
                id=keeper.id,
                task_queue=keeper_task_queue(self._task_queue),
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                static_summary="Keeps the turns: one message at a time to one person",
            ),
        )
        return result

    async def _has_lost_state(self, client: Client) -> bool:
        """Return whether there was a keeper whose queues nobody knows any more."""
        try:
            described = await client.get_workflow_handle(keeper_id(self._task_queue)).describe()
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            return False
        return described.status not in _WITH_STATE
