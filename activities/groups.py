"""The first attempts of several rows of a batch, side by side in one activity (ADR 0006).

A row that must be tried again gets its own activity, so that operators see, pause and reset it.
"""

import asyncio

from pydantic import BaseModel
from temporalio import activity
from temporalio.api.workflow.v1 import PendingActivityInfo

from activities import withdrawal
from activities.contacts import ContactActivities
from activities.failures import map_unexpected_errors
from activities.group_sending import GroupRow, GroupSending
from activities.sender import Sender
from activities.turns import Turns
from send_whatsapp.contract.attempts import NOTHING_STARTED, GroupProgress, RowEnd
from send_whatsapp.contract.errors import delivery_unknown, utc

ROWS_AT_ONCE = 200
"""Rows that one worker sends at once; a few connections stay free for single sends."""


class SendRows(BaseModel):
    """The rows of a group."""

    rows: list[GroupRow]


class GroupActivities:
    """Sends groups of rows, and reads their progress."""

    def __init__(self, sender: Sender, contacts: ContactActivities, turns: Turns) -> None:
        self._sender = sender
        self._contacts = contacts
        self._places = asyncio.Semaphore(ROWS_AT_ONCE)
        self._turns = turns

    @activity.defn
    async def send_rows(self, request: SendRows) -> list[RowEnd]:
        """Make the first attempt of each row; return how they ended, in any order.

        Nothing is sent before the server has stored that the group has started, so a group that is
        lost without this record has sent nothing. Once the activity is cancelled, paused or reset,
        no further row starts, and sends in flight are awaited. After a pause or a reset the next
        attempt starts the remaining rows.
        """
        with map_unexpected_errors():
            earlier = _earlier_progress()
            group = GroupSending(
                self._sender, self._contacts, self._turns, self._places, request.rows, earlier
            )
            await group.confirm_start()
        with map_unexpected_errors(sending=True):
            return await group.send()

    @activity.defn
    async def read_group(self, activity_id: str) -> GroupProgress | None:
        """Return the last report of a group of this run; None if it has not reported."""
        return await _last_report(await withdrawal.pending_activity(activity_id))

    @activity.defn
    async def stop_group(self, activity_id: str) -> GroupProgress | None:
        """Let no further attempt of a group start; return its last report.

        None if an attempt is in flight or has just ended: then its end tells everything.
        """
        stopped = await withdrawal.stop_attempts(activity_id)
        if stopped is None:
            return None
        return await _last_report(stopped) or NOTHING_STARTED


async def _last_report(pending: PendingActivityInfo | None) -> GroupProgress | None:
    if pending is None:
        return None
    details = await activity.client().data_converter.decode(pending.heartbeat_details.payloads)
    return GroupProgress.model_validate(details[0]) if details else None


def _earlier_progress() -> GroupProgress | None:
    """Return what an earlier attempt reported. Raises the failure of one that may have sent."""
    info = activity.info()
    details = info.heartbeat_details
    if not details:
        # Each attempt that ends without sending reports that. So this is the first attempt, or an
        # operator has deleted the report.
        if info.current_attempt_scheduled_time > info.scheduled_time:
            raise delivery_unknown(
                "an operator has deleted what the group had reported", utc(info.scheduled_time)
            )
        return None
    progress = GroupProgress.model_validate(details[0])
    if not progress.settled:
        raise delivery_unknown("an attempt of the group was lost", progress.started_at)
    return progress
