"""The turns of the rows of a part: asked for together, and in file order for each person."""

import asyncio
from collections import deque
from collections.abc import Sequence

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from send_whatsapp.contract.batch import Row
    from send_whatsapp.contract.turns import Ended
    from workflows.part_rows import PartRows
    from workflows.tasks import Defects, Tasks
    from workflows.turns import RunTurns, Turn, ask, ask_again_after


class RowTurns:
    """Takes the turns of rows that have started; rows for one person wait for each other here.

    A row that must wait is not in flight until its turn begins; then it is among the `ready` ones.
    """

    def __init__(self, turns: RunTurns, rows: PartRows, defects: Defects) -> None:
        self._turns = turns
        self._rows = rows
        self._queues: dict[str, deque[Row]] = {}
        self._asked: dict[int, Turn] = {}
        self._waiting: dict[int, Turn] = {}
        self._tasks = Tasks(defects)
        self.ready: list[Row] = []

    def turn_of(self, row: Row) -> Turn | None:
        """Return the turn of a row that is sent now; None if it takes none."""
        if row.row in self._asked or not row.request.takes_turn:
            return self._asked.get(row.row)
        # A row with a time of its own takes its turn like a single send, when the time comes.
        return self._turns.new(row.request.to, row.row)

    async def take(self, rows: Sequence[Row], next_rows: Sequence[Row]) -> list[Row]:
        """Ask for the turns of rows that have started; return those whose turn begins at once.

        Of the `next_rows`, which are to be sent after them, those become `ready`.
        """
        for row in next_rows:
            self._rows.wait_for_turn(row)
        first = []
        for row in (*rows, *next_rows):
            queue = self._queues.setdefault(row.request.to, deque())
            queue.append(row)
            if len(queue) == 1:
                first.append(row)
            else:
                self._rows.wait_for_turn(row)
        begun = await self._ask(first)
        self.ready += [row for row in begun if self._rows.waits_for_turn(row)]
        return [row for row in begun if not self._rows.waits_for_turn(row)]

    def pop_ready(self, count: int) -> list[Row]:
        """Take up to so many rows whose turn has begun; they are in flight from now on."""
        rows, self.ready = self.ready[:count], self.ready[count:]
        for row in rows:
            self._rows.has_turn(row)
        return rows

    def end(self, row: Row) -> None:
        """End the turn of a row that has ended, and ask for that of the person's next row."""
        turn = self._asked.pop(row.row, None)
        if turn is None:
            return
        turn.end()
        queue = self._queues[row.request.to]
        queue.popleft()
        if queue:
            self._tasks.spawn(self._ask_after(turn, queue[0]))
        else:
            del self._queues[row.request.to]

    def give_back(self, rows: Sequence[Row]) -> list[Row]:
        """Give the turns back that rows hold, if any, because they are not sent now.

        Returns these rows in file order, with the rows of the same persons that wait behind them.
        """
        given_back: list[Row] = []
        for row in rows:
            if turn := self._asked.pop(row.row, None):
                self._waiting.pop(row.row, None)
                turn.end(has_attempted=False)
                given_back += self._queues.pop(row.request.to)
            else:
                given_back.append(row)
        return sorted(given_back, key=lambda row: row.row)

    def stop(self) -> list[Row]:
        """Stop waiting; return the rows that have started and wait for their turns."""
        self._tasks.cancel()
        self.ready = []
        started = [row for queue in self._queues.values() for row in queue]
        waiting = [row for row in started if self._rows.waits_for_turn(row)]
        for row in waiting:
            self._queues[row.request.to].remove(row)
            if turn := self._asked.pop(row.row, None):
                turn.end(has_attempted=False)
        return waiting

    async def all_told(self) -> None:
        """Wait until the keeper knows every turn that has ended, if it must."""
        await self._turns.all_told()

    async def _ask(self, rows: Sequence[Row], ended: Ended | None = None) -> list[Row]:
        """Ask for the turns of rows; return those whose turn begins at once."""
        for row in rows:
            self._asked[row.row] = self._turns.new(row.request.to, row.row, is_managed=True)
        await ask([self._asked[row.row] for row in rows], ended)
        begun = []
        for row in rows:
            turn = self._asked[row.row]
            if turn.is_granted and turn.begins_at <= workflow.now():
                begun.append(row)
            else:
                self._rows.wait_for_turn(row)
                self._tasks.spawn(self._wait(row, turn))
        return begun

    async def _ask_after(self, before: Turn, row: Row) -> None:
        begun = await self._ask([row], before.end_message)
        # Not in one statement: it would read `ready` before it waits.
        self.ready += begun

    async def _wait(self, row: Row, turn: Turn) -> None:
        if not self._waiting:
            self._tasks.spawn(self._ask_again())
        self._waiting[row.row] = turn
        await workflow.wait_condition(lambda: turn.is_granted)
        self._waiting.pop(row.row, None)
        if turn.begins_at > workflow.now():
            await asyncio.sleep((turn.begins_at - workflow.now()).total_seconds())
        if self._asked.get(row.row) is turn:
            self.ready.append(row)

    async def _ask_again(self) -> None:
        """Ask again for all rows together, in case the keeper has lost its state."""
        since, waiting = workflow.now(), 0
        while True:
            if len(self._waiting) != waiting:
                since, waiting = workflow.now(), len(self._waiting)
            turns = list(self._waiting.values())
            answered = all(turn.asked for turn in turns)
            try:
                await workflow.wait_condition(
                    lambda: not self._waiting,
                    timeout=ask_again_after(workflow.now() - since, answered=answered),
                )
                return
            except TimeoutError:
                await ask(list(self._waiting.values()))


def takes_turn_now(row: Row) -> bool:
    """Return whether a row takes a turn when it starts, and not later at a time of its own."""
    request = row.request
    return request.takes_turn and not (request.send_at and request.send_at > workflow.now())
