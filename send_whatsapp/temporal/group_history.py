"""How the rows of groups ended, from the history of their part and its pending activities."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pydantic import BaseModel
from temporalio.api.common.v1 import Payloads
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.converter import DataConverter

from send_whatsapp.contract.attempts import GroupProgress, RowEnd
from send_whatsapp.contract.names import GROUP_ACTIVITY
from send_whatsapp.temporal.history import ended_activity, event_time


class GroupedRow(NamedTuple):
    """The end of a row's first attempt, and the time at which its group ended, if it has.

    `maybe_sent`: a row without an end that may have been sent.
    """

    end: RowEnd
    maybe_sent: bool
    at: str | None = None


class _Row(BaseModel):
    row: int


class _Group(BaseModel):
    """The input of a group, as far as it matters here."""

    rows: list[_Row]


async def rows_of_groups(
    converter: DataConverter,
    events: Sequence[HistoryEvent],
    pending: Iterable[PendingActivityInfo],
) -> dict[int, GroupedRow]:
    """Return the rows of every group that has started, by their numbers; the latest group counts.

    `pending` are the activities that were pending before the events were read, or when the part
    was closed.
    """
    still_open = {each.activity_id: each for each in pending}
    rows: dict[int, GroupedRow] = {}
    for scheduled, last in _groups(events):
        attributes = scheduled.activity_task_scheduled_event_attributes
        [group] = await converter.decode(attributes.input.payloads, [_Group])
        if last is None:
            ended = await _ended_so_far(converter, group, still_open.get(attributes.activity_id))
        else:
            ended = await _ended(converter, group, last)
        rows |= {row.end.row: row for row in ended}
    return rows


def _groups(
    events: Iterable[HistoryEvent],
) -> list[tuple[HistoryEvent, HistoryEvent | None]]:
    """Return the first and the last event of each group; None: it has not ended."""
    scheduled: dict[int, HistoryEvent] = {}
    last: dict[int, HistoryEvent] = {}
    for event in events:
        if event.HasField("activity_task_scheduled_event_attributes"):
            name = event.activity_task_scheduled_event_attributes.activity_type.name
            if name == GROUP_ACTIVITY:
                scheduled[event.event_id] = event
            continue
        if (ended := ended_activity(event)) in scheduled:
            last[ended] = event
    return [(event, last.get(id_)) for id_, event in scheduled.items()]


async def _ended(converter: DataConverter, group: _Group, last: HistoryEvent) -> list[GroupedRow]:
    """Return the rows of a group that has ended; the result of a completed one tells everything."""
    at = event_time(last)
    if last.HasField("activity_task_completed_event_attributes"):
        result = last.activity_task_completed_event_attributes.result
        [ends] = await converter.decode(result.payloads, [list[RowEnd]])
        return _rows(group, ends, maybe_sent=False, at=at)
    if last.HasField("activity_task_timed_out_event_attributes"):
        timed_out = last.activity_task_timed_out_event_attributes.failure.timeout_failure_info
        progress = await _progress(converter, timed_out.last_heartbeat_details)
        return _reported(group, progress, at=at)
    return _rows(group, [], maybe_sent=True, at=at)


async def _ended_so_far(
    converter: DataConverter, group: _Group, pending: PendingActivityInfo | None
) -> list[GroupedRow]:
    """Return the rows of a group without an end. Nothing is sent before its first report."""
    if pending is None:
        return _rows(group, [], maybe_sent=True)
    return _reported(group, await _progress(converter, pending.heartbeat_details))


async def _progress(converter: DataConverter, details: Payloads) -> GroupProgress | None:
    decoded = await converter.decode(details.payloads, [GroupProgress]) if details.payloads else []
    return decoded[0] if decoded else None


def _reported(
    group: _Group, progress: GroupProgress | None, at: str | None = None
) -> list[GroupedRow]:
    if progress is None:
        return _rows(group, [], maybe_sent=False, at=at)
    return _rows(group, progress.ends, maybe_sent=not progress.settled, at=at)


def _rows(
    group: _Group, ends: Iterable[RowEnd], *, maybe_sent: bool, at: str | None = None
) -> list[GroupedRow]:
    known = {end.row: end for end in ends}
    return [
        GroupedRow(known.get(row.row) or RowEnd(row=row.row), maybe_sent, at) for row in group.rows
    ]
