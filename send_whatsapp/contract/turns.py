"""Turns: what sends and the keeper of turns tell each other (docs/delivery.md, "Turns").

A send that takes a turn asks the keeper with a ticket. The keeper grants one ticket of a person at
a time (ADR 0008).
"""

import hashlib
import hmac
from typing import Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from send_whatsapp.contract.model import Request

KEEPER_WORKFLOW: Final = "SendWhatsAppTurns"
TAKE_UPDATE: Final = "take"
ENDED_SIGNAL: Final = "ended"
TURN_SIGNAL: Final = "turn"

TURN_MEMO: Final = "turn"
"""Memo of a run that waits for its turn: the sentence that says behind whom."""


def keeper_id(task_queue: str) -> str:
    """Return the workflow id of the keeper of turns; no key can be the same (see names.py)."""
    return f"turns·{task_queue}"


def keeper_task_queue(task_queue: str) -> str:
    """Return the task queue of the keeper.

    Sends that wait for its answer occupy the workflow tasks of their own queue.
    """
    return f"{task_queue}-turns"


def person_digest(key: str, number: str) -> str:
    """Return what stands for a person in the keeper's history; `number` is E.164.

    Anybody could guess the number behind a hash without a key.
    """
    return hmac.new(key.encode(), number.encode(), hashlib.sha256).hexdigest()[:32]


class TurnModel(BaseModel):
    """Base of what is exchanged: camelCase, unknown fields ignored."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True
    )


class Ticket(TurnModel):
    """Who asks for a turn: a run, or a row of a part.

    `number` counts the turns that the run or the row has asked for and given back before.
    """

    workflow_id: str
    run_id: str
    row: int | None = None
    number: int = 0


class HeldTurn(TurnModel):
    """A turn that a send holds, for its activities; `person` is a digest."""

    person: str
    ticket: Ticket


class Ask(TurnModel):
    """A ticket that asks for a turn. Asking again keeps its place.

    `since` is the time at which it first asked, if the keeper has told it.
    """

    person: str
    ticket: Ticket
    since: float | None = None


class Ended(TurnModel):
    """A turn that has ended, or that is given back without an attempt.

    The end of its last attempt is known as `at`, in seconds since 1970 on the server's clock, or as
    `ago_s`, in seconds before the message.
    """

    person: str
    ticket: Ticket
    at: float | None = None
    ago_s: float | None = None


class Take(TurnModel):
    """Update of the keeper: new tickets, turns that have ended, and the gap between turns."""

    asks: list[Ask] = Field(default_factory=list)
    ended: list[Ended] = Field(default_factory=list)
    gap_s: float = 0


class Place(TurnModel):
    """The keeper's answer to one ticket. Times are seconds since 1970, on the server's clock.

    `last_end` is the end of the person's previous turn, if it matters. `behind` is the workflow id
    of the send before a ticket that is not granted yet; None: the keeper does not know it yet.
    `is_full`: the keeper has no room for the ticket, which must ask again later.
    """

    granted: bool = False
    last_end: float | None = None
    behind: str | None = None
    since: float | None = None
    is_full: bool = False


class TakeResult(TurnModel):
    """The answers to the tickets of a `Take`, in their order."""

    places: list[Place]


class TurnMessage(TurnModel):
    """Signal of the keeper to a send.

    `granted`: its turn has come, after a turn that ended at `last_end`. `wanted`: somebody waits
    for its end, so the send must tell the keeper when its turn has ended.
    """

    person: str
    ticket: Ticket
    granted: bool = False
    wanted: bool = False
    last_end: float | None = None


class QueuedTicket(Request):
    """A ticket in the queue of a person, in the keeper's state.

    The first of a queue holds the turn once it is `granted`, which only then is true. `wanted`:
    it knows that somebody waits for its end.
    """

    ticket: Ticket
    since: float
    granted: bool = False
    wanted: bool = False


class KeeperState(Request):
    """Input of the keeper: what its previous run knew.

    `queues` by person, `ends` of turns by person, and `messages` that it has not sent.
    `has_lost_state`: the previous run was ended from outside, so nobody knows who waits. The keeper
    continues as new after `steps_per_run`: each adds some five events, and the server allows 2,000
    updates.
    """

    queues: dict[str, list[QueuedTicket]] = Field(default_factory=dict)
    ends: dict[str, float] = Field(default_factory=dict)
    messages: list[TurnMessage] = Field(default_factory=list)
    gap_s: float = 0
    has_lost_state: bool = False
    steps_per_run: int = 1000
