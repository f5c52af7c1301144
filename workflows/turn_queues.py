"""The queues of the keeper of turns: who holds the turn of each person, and who waits for it.

Makes no Temporal calls, so that unit tests can use it. The time changes only what it answers, never
whether it has something to tell: a replay may see another time (ADR 0004).
"""

from collections.abc import Iterable, Sequence

from send_whatsapp.contract.turns import (
    Ask,
    Ended,
    KeeperState,
    Place,
    QueuedTicket,
    Take,
    Ticket,
    TurnMessage,
)

MAX_BYTES = 1_200_000
"""Size of all queues in the input of the keeper's next run; the server allows 2 MB."""

MAX_ENDS = 8_000
"""Ends of turns that the next run of the keeper learns, 50 bytes each."""

_TICKET_BYTES = 200
"""Size of a ticket in JSON, without its workflow id."""


class TurnQueues:
    """A queue of tickets for each person; the first one holds the turn, once it is granted."""

    def __init__(self, state: KeeperState) -> None:
        self._queues = {person: list(queue) for person, queue in state.queues.items()}
        self._ends = dict(state.ends)
        self._gap_s = state.gap_s
        self._is_collecting = state.has_lost_state
        self._bytes = sum(_size(each) for queue in self._queues.values() for each in queue)
        self._waiting = sum(len(queue) - 1 for queue in self._queues.values())
        self.messages = list(state.messages)
        """What sends must be told."""

    @property
    def tickets(self) -> Sequence[tuple[str, Ticket]]:
        """Every ticket with its person."""
        return [(who, each.ticket) for who, queue in self._queues.items() for each in queue]

    @property
    def holders(self) -> Sequence[tuple[str, Ticket]]:
        """The tickets that others wait for, with their persons."""
        return [(who, queue[0].ticket) for who, queue in self._queues.items() if len(queue) > 1]

    @property
    def somebody_waits(self) -> bool:
        """Whether a ticket waits for another one."""
        return self._waiting > 0

    @property
    def is_empty(self) -> bool:
        """Whether there is no ticket."""
        return not self._queues

    def queue_of(self, person: str) -> Sequence[Ticket]:
        """Return the tickets of a person, the holder of the turn first."""
        return [each.ticket for each in self._queues.get(person, ())]

    def take(self, request: Take, now: float) -> list[Place]:
        """Note turns that have ended, then give each ticket its place. `now`: seconds since 1970.

        A ticket that has asked before keeps its place.
        """
        self._gap_s = max(self._gap_s, request.gap_s)
        self.end(request.ended, now)
        return [self._place(ask, now) for ask in request.asks]

    def end(self, ended: Iterable[Ended], now: float) -> None:
        """Remove turns that have ended, whether their tickets are known or not."""
        for turn in ended:
            end = turn.at if turn.ago_s is None else now - turn.ago_s
            if end is not None:
                self._ends[turn.person] = round(max(end, self._ends.get(turn.person, end)), 3)
            self._remove(turn.person, turn.ticket)
            self._tell(turn.person)

    def stop_collecting(self) -> None:
        """Grant turns from now on: everybody who waits has had the time to ask again."""
        self._is_collecting = False
        for person in self._queues:
            self._tell(person)

    def state(self, now: float) -> KeeperState:
        """Return what the next run of the keeper must know."""
        self._forget_old_ends(now)
        return KeeperState(
            queues=self._queues,
            ends=self._ends,
            messages=self.messages,
            gap_s=self._gap_s,
            has_lost_state=self._is_collecting,
        )

    def _place(self, ask: Ask, now: float) -> Place:
        queue = self._queues.get(ask.person, [])
        index = next((i for i, each in enumerate(queue) if each.ticket == ask.ticket), None)
        if index is None:
            added = QueuedTicket(ticket=ask.ticket, since=ask.since or round(now, 3))
            if self._bytes + _size(added) > MAX_BYTES:
                return Place(is_full=True)
            index = self._add(ask.person, added, has_asked_before=ask.since is not None)
            queue = self._queues[ask.person]
        since = queue[index].since
        if self._is_collecting:
            return Place(since=since)
        if index == 0:
            self._grant(queue)
            self._tell(ask.person)
            return Place(granted=True, last_end=self._ends.get(ask.person), since=since)
        self._tell(ask.person)
        return Place(behind=queue[index - 1].ticket.workflow_id, since=since)

    def _add(self, person: str, added: QueuedTicket, *, has_asked_before: bool) -> int:
        """Add a ticket behind those that have asked before it; return its index."""
        queue = self._queues.setdefault(person, [])
        index = len(queue)
        if has_asked_before:  # an earlier run of the keeper, which has lost its state
            while index and not queue[index - 1].granted and queue[index - 1].since > added.since:
                index -= 1
        queue.insert(index, added)
        self._bytes += _size(added)
        self._waiting += len(queue) > 1
        return index

    def _remove(self, person: str, ticket: Ticket) -> None:
        queue = self._queues.get(person, [])
        for index, each in enumerate(queue):
            if each.ticket == ticket:
                self._waiting -= len(queue) > 1
                self._bytes -= _size(each)
                del queue[index]
                break
        if not queue:
            self._queues.pop(person, None)

    def _tell(self, person: str) -> None:
        """Tell the first of a queue that its turn has come, or that somebody waits for its end."""
        queue = self._queues.get(person)
        if not queue or self._is_collecting:
            return
        first = queue[0]
        is_new, is_wanted = not first.granted, len(queue) > 1 and not first.wanted
        if not is_new and not is_wanted:
            return
        if is_new:
            self._grant(queue)
        if is_wanted:
            queue[0] = queue[0].model_copy(update={"wanted": True})
        self.messages.append(
            TurnMessage(
                person=person,
                ticket=first.ticket,
                granted=is_new,
                wanted=is_wanted,
                last_end=self._ends.get(person),
            )
        )

    @staticmethod
    def _grant(queue: list[QueuedTicket]) -> None:
        queue[0] = queue[0].model_copy(update={"granted": True})

    def _forget_old_ends(self, now: float) -> None:
        latest = sorted(self._ends.items(), key=lambda item: item[1])[-MAX_ENDS:]
        self._ends = {person: end for person, end in latest if end >= now - self._gap_s}


def _size(queued: QueuedTicket) -> int:
    return _TICKET_BYTES + len(queued.ticket.workflow_id.encode())
