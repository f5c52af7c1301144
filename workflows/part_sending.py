"""How a part sends its rows: first attempts in groups, later ones like single messages.

ADR 0006 says why.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import compress
from operator import not_

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.group_sending import GroupRow
    from activities.preparation import Preparation, RunSettings
    from send_whatsapp.contract.attempts import RowEnd
    from send_whatsapp.contract.batch import Row
    from send_whatsapp.contract.errors import expired
    from send_whatsapp.contract.result import SentAs
    from send_whatsapp.contract.templates import FlowMatch
    from workflows.part_rows import PartRows
    from workflows.row_gate import GROUP_ROWS, RowGate
    from workflows.row_groups import RowGroup
    from workflows.row_sending import (
        EndedRow,
        cancelled_row,
        ended_row,
        failed_row,
        first_message,
        next_attempt,
        row_priority,
        send_row,
    )
    from workflows.row_starts import RowStarts
    from workflows.row_turns import RowTurns, takes_turn_now
    from workflows.row_windows import RowWindows
    from workflows.sending import OutgoingMessage
    from workflows.tasks import Defects, Tasks
    from workflows.turns import RunTurns, Turn
    from workflows.visibility import RowVisibility, count_send


ASK_AHEAD = 100
"""Rows whose turns are asked for together with those of the rows that start."""


class PartSending:
    """Sends rows as the gate lets them start; calls `on_pause` when the part pauses itself."""

    def __init__(
        self,
        rows: PartRows,
        gate: RowGate,
        turns: RunTurns,
        on_pause: Callable[[str], None],
    ) -> None:
        self._rows = rows
        self._defects = Defects()
        self._turns = RowTurns(turns, rows, self._defects)
        self._gate = gate
        self._windows = RowWindows(rows, gate, self._end_as_expired)
        self._starts = RowStarts(rows, gate, self._turns, self._windows, self._defects)
        self._on_pause = on_pause
        self._asking = Tasks(self._defects)
        self._starting = Tasks(self._defects)
        self._groups = Tasks(self._defects)
        self._single_rows = Tasks(self._defects)
        self._watching = Tasks(self._defects)

    async def run(self, settings: RunSettings) -> None:
        """Start rows as they may start, until all have ended or the part stops."""
        if any(row.request.send_window for row in self._rows.not_started):
            await self._windows.judge()
            self._watching.spawn(self._windows.watch())
        self._starting.spawn(self._start_ready_rows(settings))
        while count := await self._starts.next_count():
            self._start(self._rows.start(count), settings)
        self._starting.cancel()
        self._watching.cancel()

    async def end(self) -> None:
        """End waiting rows as cancelled, withdraw rows in flight and wait for their end."""
        for row in self._rows.not_started:
            self._rows.start_row(row)
            self._rows.end(cancelled_row(row, self._gate))
        await self._asking.all_ended()
        for row in self._turns.stop():
            self._rows.end(cancelled_row(row, self._gate))
        self._single_rows.cancel()
        # A group sees by itself that the part has stopped.
        await self._groups.all_ended()
        await self._single_rows.all_ended()
        await self._turns.all_told()
        self._defects.check()

    def _start(self, rows: Sequence[Row], settings: RunSettings) -> None:
        takes_turn = [settings.turns and takes_turn_now(row) for row in rows]
        if any(takes_turn):
            self._asking.spawn(self._start_in_turn(list(compress(rows, takes_turn)), settings))
        self._send(list(compress(rows, map(not_, takes_turn))), settings)

    async def _start_in_turn(self, rows: Sequence[Row], settings: RunSettings) -> None:
        """Ask for the turns of some rows, and send those whose turn begins at once.

        Without a rate the next rows start now as well, since one question costs as much as many;
        they are sent as soon as there is room.
        """
        ahead = 0 if self._gate.allowance.is_limited else self._rows.waiting - GROUP_ROWS
        next_rows = self._rows.start_while(takes_turn_now, min(ASK_AHEAD, ahead))
        begun = await self._turns.take(rows, next_rows)
        if self._gate.stopped:
            for row in begun:
                self._rows.wait_for_turn(row)
        else:
            self._send(begun, settings)

    async def _start_ready_rows(self, settings: RunSettings) -> None:
        """Send rows whose turn begins later, or give the turns back if the part is paused then."""
        while True:
            await workflow.wait_condition(
                lambda: (
                    bool(self._turns.ready)
                    and (self._gate.paused or self._starts.room_for_ready() > 0)
                )
            )
            if self._gate.paused:
                self._put_back(self._turns.pop_ready(len(self._turns.ready)))
            else:
                self._send(self._turns.pop_ready(self._starts.room_for_ready()), settings)

    def _put_back(self, rows: Sequence[Row]) -> None:
        """Let rows wait again that did not start after all."""
        self._rows.put_back(self._turns.give_back(rows))

    def _send(self, rows: Sequence[Row], settings: RunSettings) -> None:
        """Send rows, in a group if possible; those that take a turn hold it."""
        group: list[tuple[Row, OutgoingMessage]] = []
        for row in rows:
            turn = self._turns.turn_of(row)
            try:
                opening = self._windows.opening_of(row)
                message = first_message(row, settings, self._flow(row), turn, opening)
            except ApplicationError as error:
                kind = row.request.requested_kind
                self._end(row, failed_row(row, self._gate, error), kind, workflow.now())
                continue
            if message is None:
                self._single_rows.spawn(self._send_row(row, None, turn))
            else:
                group.append((row, message))
        if group:
            self._groups.spawn(self._send_group(group, settings))

    async def _send_group(
        self, group: Sequence[tuple[Row, OutgoingMessage]], settings: RunSettings
    ) -> None:
        """Make the first attempts of some rows, and end each row or let it be tried again."""
        started = workflow.now()
        by_number = {row.row: (row, message.kind) for row, message in group}
        not_started: list[Row] = []

        def on_end(end: RowEnd) -> None:
            row, kind = by_number[end.row]
            ended = ended_row(row, self._gate, end)
            if ended is not None:
                self._end(row, ended, kind, started)
            elif end.failure is None:
                not_started.append(row)
                if end.window_closed:
                    self._windows.has_closed(row)
            else:
                self._rows.retry(row, end.failure.details.detail)
                opening = self._windows.opening_of(row)
                preparation = next_attempt(end, settings, self._flow(row), opening)
                turn = self._turns.turn_of(row)
                self._single_rows.spawn(self._send_row(row, preparation, turn, started))

        await RowGroup(
            [
                GroupRow(row=row.row, to=row.request.to, message=message.input)
                for row, message in group
            ],
            settings,
            row_priority(self._gate.batch),
            is_stopped=lambda: self._gate.stopped,
            on_end=on_end,
        ).run()
        self._put_back(not_started)

    async def _send_row(
        self,
        row: Row,
        preparation: Preparation | None,
        turn: Turn | None,
        started: datetime | None = None,
    ) -> None:
        """Send a row by itself; `started` is the start of its first attempt."""
        visibility = RowVisibility(row.request)
        started = started or workflow.now()
        ended = await send_row(row, self._gate, visibility, preparation, turn)
        if ended is None:
            self._windows.has_closed(row)
            self._put_back([row])
        else:
            self._end(row, ended, visibility.kind, started)

    def _end_as_expired(self, row: Row) -> None:
        """End a row whose send window opens too late for it."""
        self._rows.start_row(row)
        ended = failed_row(row, self._gate, expired())
        self._end(row, ended, row.request.requested_kind, workflow.now())

    def _end(self, row: Row, ended: EndedRow, kind: SentAs, started: datetime) -> None:
        outcome = ended.outcome
        self._rows.end(outcome)
        self._turns.end(row)
        count_send(kind, outcome.outcome, outcome.error_type, started, row.row)
        # A killed worker loses all its sends at once; that says nothing about the next rows.
        if ended.worker_was_lost:
            return
        if pause_reason := self._gate.row_ended(outcome):
            self._on_pause(pause_reason)

    def _flow(self, row: Row) -> FlowMatch | None:
        flow = self._gate.flows.get(row.request.template or "")
        return FlowMatch.model_validate(flow) if flow else None
