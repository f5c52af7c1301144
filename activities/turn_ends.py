"""Finds out for the keeper of turns which sends have ended without telling it."""

import asyncio
from collections.abc import Sequence
from datetime import UTC

from temporalio import activity
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from activities.failures import map_unexpected_errors
from send_whatsapp.contract.names import GROUP_ACTIVITY, SEND_ACTIVITIES
from send_whatsapp.contract.turns import Ended, HeldTurn

AT_ONCE = 10
"""Runs that are read at the same time."""

_ENDED_FROM_OUTSIDE = (WorkflowExecutionStatus.TERMINATED, WorkflowExecutionStatus.TIMED_OUT)

Handle = WorkflowHandle[object, object]


class TurnEndActivities:
    """Reads runs from the server. `start_to_close_s` is the longest time of one attempt."""

    def __init__(self, start_to_close_s: float) -> None:
        self._start_to_close_s = start_to_close_s

    @activity.defn
    async def find_ended_turns(self, turns: Sequence[HeldTurn]) -> list[Ended]:
        """Return those of the turns whose runs are closed, or do not exist.

        The call of a run that was ended from outside may still be under way; such a turn ends when
        its longest attempt would.
        """
        with map_unexpected_errors():
            limit = asyncio.Semaphore(AT_ONCE)
            tickets = [turn.ticket for turn in turns]
            runs = list({(ticket.workflow_id, ticket.run_id) for ticket in tickets})
            found = await asyncio.gather(*(self._end_of(*run, limit) for run in runs))
            ends = {run: end for run, end in zip(runs, found, strict=True) if end is not None}
            return [
                Ended(person=turn.person, ticket=turn.ticket, at=ends[run])
                for turn in turns
                if (run := (turn.ticket.workflow_id, turn.ticket.run_id)) in ends
            ]

    async def _end_of(
        self, workflow_id: str, run_id: str, limit: asyncio.Semaphore
    ) -> float | None:
        """Return when the last attempt of a run ended (seconds since 1970); None if it is open."""
        handle: Handle = activity.client().get_workflow_handle(workflow_id, run_id=run_id)
        async with limit:
            try:
                described = await handle.describe()
                if described.close_time is None:
                    return None
                end = described.close_time.astimezone(UTC).timestamp()
                if described.status in _ENDED_FROM_OUTSIDE and await _has_call_under_way(handle):
                    end += self._start_to_close_s
                return end
            except RPCError as error:
                if error.status != RPCStatusCode.NOT_FOUND:
                    raise
                return 0.0


async def _has_call_under_way(handle: Handle) -> bool:
    """Return whether a closed run has a send that has no end in its history."""
    open_sends = set()
    async for event in handle.fetch_history_events():
        scheduled = event.activity_task_scheduled_event_attributes
        if scheduled.activity_type.name in (*SEND_ACTIVITIES, GROUP_ACTIVITY):
            open_sends.add(event.event_id)
        for ended in (
            event.activity_task_completed_event_attributes,
            event.activity_task_failed_event_attributes,
            event.activity_task_timed_out_event_attributes,
            event.activity_task_canceled_event_attributes,
        ):
            open_sends.discard(ended.scheduled_event_id)
    return bool(open_sends)
