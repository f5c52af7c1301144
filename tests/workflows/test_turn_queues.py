"""The queues of the keeper: one holder for each person, in the order in which tickets asked."""

from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from send_whatsapp.contract.converter import data_converter
from send_whatsapp.contract.turns import Ask, Ended, KeeperState, Place, Take, Ticket, TurnMessage
from workflows import turn_queues
from workflows.turn_queues import TurnQueues

PEOPLE = ("anna", "ben", "carla")


def ticket(name: str, row: int | None = None) -> Ticket:
    return Ticket(workflow_id=name, run_id="r" * 36, row=row)


def take(queues: TurnQueues, *names: str, now: float = 0, person: str = "anna") -> list[Place]:
    asks = [Ask(person=person, ticket=ticket(name)) for name in names]
    return queues.take(Take(asks=asks, gap_s=2), now)


def end(queues: TurnQueues, name: str, at: float | None = None, now: float = 0) -> None:
    queues.end([Ended(person="anna", ticket=ticket(name), at=at)], now)


def told(queues: TurnQueues) -> list[tuple[str, bool, bool, float | None]]:
    """Return what sends must be told since the last call: who, granted, wanted, last end."""
    messages, queues.messages = queues.messages, []
    return [(m.ticket.workflow_id, m.granted, m.wanted, m.last_end) for m in messages]


def test_the_first_ticket_is_granted_and_the_next_waits_behind_it() -> None:
    queues = TurnQueues(KeeperState())
    first, second, third = take(queues, "one", "two", "three")
    assert (first.granted, first.last_end, first.behind) == (True, None, None)
    assert (second.granted, second.behind) == (False, "one")
    assert (third.granted, third.behind) == (False, "two")
    assert told(queues) == [("one", False, True, None)]


def test_a_holder_learns_only_once_that_somebody_waits() -> None:
    queues = TurnQueues(KeeperState())
    take(queues, "one")
    assert told(queues) == []
    take(queues, "two")
    take(queues, "three")
    take(queues, "two")
    assert told(queues) == [("one", False, True, None)]


def test_the_end_of_a_turn_grants_the_next_with_the_time_of_the_end() -> None:
    queues = TurnQueues(KeeperState())
    take(queues, "one", "two", "three")
    told(queues)
    end(queues, "one", at=10)
    assert told(queues) == [("two", True, True, 10)]
    end(queues, "two", at=14)
    assert told(queues) == [("three", True, False, 14)]
    end(queues, "three", at=18)
    assert told(queues) == []
    assert queues.is_empty


def test_a_turn_that_is_given_back_leaves_the_last_end_as_it_was() -> None:
    queues = TurnQueues(KeeperState())
    take(queues, "one", "two")
    end(queues, "one", at=10)
    take(queues, "three")
    told(queues)
    end(queues, "two")
    assert told(queues) == [("three", True, False, 10)]


def test_an_end_may_be_reported_as_seconds_before_the_message() -> None:
    queues = TurnQueues(KeeperState())
    queues.end([Ended(person="anna", ticket=ticket("unknown"), ago_s=1.5)], 10)
    assert take(queues, "one", now=11)[0].last_end == 8.5


def test_asking_again_keeps_the_place_and_changes_nothing() -> None:
    queues = TurnQueues(KeeperState())
    before = take(queues, "one", "two")
    assert take(queues, "two", "one", now=5) == before[::-1]
    assert queues.queue_of("anna") == [ticket("one"), ticket("two")]


def test_people_do_not_wait_for_each_other() -> None:
    queues = TurnQueues(KeeperState())
    assert all(take(queues, f"send to {who}", person=who)[0].granted for who in PEOPLE)
    assert told(queues) == []
    assert not queues.somebody_waits


def test_rows_of_a_part_are_tickets_of_their_own() -> None:
    queues = TurnQueues(KeeperState())
    asks = [Ask(person="anna", ticket=ticket("part", row)) for row in (2, 3)]
    assert [place.granted for place in queues.take(Take(asks=asks), 0)] == [True, False]


def test_an_unknown_end_is_harmless() -> None:
    queues = TurnQueues(KeeperState())
    take(queues, "one", "two")
    told(queues)
    end(queues, "another", at=3)
    assert told(queues) == []
    assert queues.queue_of("anna") == [ticket("one"), ticket("two")]


def test_a_keeper_without_its_state_grants_nothing_until_those_who_wait_have_asked_again() -> None:
    queues = TurnQueues(KeeperState(has_lost_state=True))
    assert take(queues, "new", now=50) == [Place(since=50)]
    earlier = Ask(person="anna", ticket=ticket("early"), since=20)
    later = Ask(person="anna", ticket=ticket("late"), since=30)
    queues.take(Take(asks=[later, earlier]), 51)
    assert told(queues) == []
    queues.stop_collecting()
    assert told(queues) == [("early", True, True, None)]
    assert queues.queue_of("anna") == [ticket("early"), ticket("late"), ticket("new")]


def test_a_keeper_without_room_says_so_and_knows_the_others() -> None:
    queues = TurnQueues(KeeperState())
    names = [f"{number}-" + "x" * 990 for number in range(1100)]
    places = take(queues, *names)
    assert places[0].granted
    assert places[-1].is_full
    size = len(data_converter.payload_converter.to_payloads([queues.state(0)])[0].data)
    assert size < 2_000_000
    assert take(queues, names[1])[0].behind == names[0]
    for name in names:
        end(queues, name, at=1)
    assert take(queues, "again")[0].granted


def test_ends_that_no_gap_needs_any_more_are_forgotten() -> None:
    queues = TurnQueues(KeeperState())
    take(queues, "one")
    end(queues, "one", at=10)
    assert queues.state(11.9).ends == {"anna": 10}
    assert queues.state(12.1).ends == {}


def test_only_the_latest_ends_are_handed_over() -> None:
    queues = TurnQueues(KeeperState(gap_s=60))
    people = [f"{number:032}" for number in range(turn_queues.MAX_ENDS + 10)]
    ended = [
        Ended(person=who, ticket=ticket("x"), at=float(i) / 1000) for i, who in enumerate(people)
    ]
    queues.end(ended, 10)
    assert list(queues.state(10).ends) == people[10:]


class Keeper(RuleBasedStateMachine):
    """Tickets ask, end, ask again; the keeper continues as new at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.queues = TurnQueues(KeeperState())
        self.numbers = count(1)
        self.now = 0.0
        self.expected: dict[str, list[str]] = {person: [] for person in PEOPLE}
        self.granted: set[str] = set()
        self.wanted: set[str] = set()

    @rule(person=st.sampled_from(PEOPLE), many=st.integers(1, 3))
    def ask(self, person: str, many: int) -> None:
        names = [str(next(self.numbers)) for _ in range(many)]
        places = take(self.queues, *names, now=self.now, person=person)
        self.expected[person] += names
        self._note(names, places)

    @rule(person=st.sampled_from(PEOPLE), which=st.integers(0, 5))
    def ask_again(self, person: str, which: int) -> None:
        names = self.expected[person][which : which + 1]
        self._note(names, take(self.queues, *names, now=self.now, person=person))

    @rule(person=st.sampled_from(PEOPLE), which=st.integers(0, 5), at=st.none() | st.just(1.0))
    def end(self, person: str, which: int, at: float | None) -> None:
        for name in self.expected[person][which : which + 1]:
            self.expected[person].remove(name)
            self.queues.end([Ended(person=person, ticket=ticket(name), at=at)], self.now)
            self.queues.end([Ended(person=person, ticket=ticket(name), at=at)], self.now)

    @rule()
    def continue_as_new(self) -> None:
        state = self.queues.state(self.now)
        converter = data_converter.payload_converter
        [read] = converter.from_payloads(converter.to_payloads([state]), [KeeperState])
        assert read == state
        self.queues = TurnQueues(read)

    @rule(seconds=st.floats(0, 3))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def everybody_is_in_line_and_the_first_knows_it(self) -> None:
        messages, self.queues.messages = self.queues.messages, []
        for message in messages:
            self._hear(message)
        for person, names in self.expected.items():
            assert [t.workflow_id for t in self.queues.queue_of(person)] == names
            if names:
                assert names[0] in self.granted
                assert not self.granted & set(names[1:])
                assert len(names) == 1 or names[0] in self.wanted
        waiting = [names for names in self.expected.values() if len(names) > 1]
        assert self.queues.somebody_waits == bool(waiting)
        assert len(self.queues.holders) == len(waiting)
        assert self.queues.is_empty == (not any(self.expected.values()))

    def _note(self, names: list[str], places: list[Place]) -> None:
        self.granted |= {n for n, place in zip(names, places, strict=True) if place.granted}

    def _hear(self, message: TurnMessage) -> None:
        if message.granted:
            self.granted.add(message.ticket.workflow_id)
        if message.wanted:
            self.wanted.add(message.ticket.workflow_id)


Keeper.TestCase.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
TestKeeper = Keeper.TestCase
