"""Fault rules: which request goes wrong, how often, and in which way."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from simulator.records import digits

Route = Literal[
    "*",
    "account",
    "list_flows",
    "find_contact",
    "create_contact",
    "get_contact",
    "send_text",
    "send_file",
    "send_flow",
    "send_content",
]
Garbage = Literal[
    "html",
    "empty",
    "null",
    "array",
    "string",
    "truncated",
    "utf16",
    "huge",
    "gzip_bomb",
    "wrong_ids",
    "big_ids",
    "duplicate_length",
    "no_length",
    "informational",
]
SPOILS_TRUE_ANSWER = frozenset(
    {"truncated", "utf16", "wrong_ids", "big_ids", "duplicate_length", "no_length"}
)


class Fault(BaseModel, extra="forbid", frozen=True):
    """One rule. The first installed rule that claims a request decides it, alone.

    Which: `route`, and `contact` (phone number or contact id; compared by digits). The first
    `skip` matching requests pass, then `times` are hit (None: all), each with `probability`: drawn
    from `seed`, route, contact and how many such requests came before, so that the same requests
    are hit in whatever order different people's arrive.

    What, in this order: `delay_ms`, the effect, `delay_after_ms`, the answer. `hold` stops before
    or after the effect until the rules are replaced or cleared, and then goes on. `effect` says
    whether the request is carried out at all; None means what is natural (below in brackets).

    The answer, one of: `status` with `body` (text as it stands, else JSON) and `headers` [no];
    `answer_after_effect`, the same but [yes]; `garbage` with status 200 [no, but yes for kinds
    that spoil the true answer]; `redirect` to a URL [no]; `cut`, no answer, connection closed
    [no]; `lost_answer`, the same but [yes]; `reset`, closed by RST [no]; `hang`, no answer at
    all [no]. Without any: the true answer [yes].
    How it travels: `drip`, so many seconds between any two bytes of the body;
    `cut_after_bytes`, closed after so many bytes of status line, headers and body.
    """

    route: Route = "*"
    contact: str | None = None
    times: int | None = Field(default=None, ge=0)
    skip: int = Field(default=0, ge=0)
    probability: float | None = Field(default=None, ge=0, le=1)
    seed: int = 0

    delay_ms: float = Field(default=0, ge=0)
    delay_after_ms: float = Field(default=0, ge=0)
    hold: Literal["before", "after"] | None = None
    effect: bool | None = None

    status: int | None = Field(default=None, ge=100, le=599)
    answer_after_effect: int | None = Field(default=None, ge=100, le=599)
    body: Any = None
    headers: dict[str, str] = {}
    garbage: Garbage | None = None
    redirect: str | None = None
    cut: bool = False
    lost_answer: bool = False
    reset: bool = False
    hang: bool = False

    drip: float | None = Field(default=None, gt=0)
    cut_after_bytes: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _one_answer(self) -> Self:
        if len(self._answers) > 1:
            raise ValueError(f"choose one of {', '.join(self._answers)}")
        return self

    @property
    def _answers(self) -> list[str]:
        every = (
            "status answer_after_effect garbage redirect cut lost_answer reset hang"
        ).split()
        return [name for name in every if getattr(self, name) not in (None, False)]

    @property
    def label(self) -> str:
        """What the log of requests calls it: the answer and what else was done."""
        extra = ("delay_ms", "delay_after_ms", "hold", "drip", "cut_after_bytes")
        names = self._answers + [name for name in extra if getattr(self, name) not in (None, 0)]
        return " ".join(
            name if getattr(self, name) is True else f"{name}={getattr(self, name)}"
            for name in names
        )

    @property
    def happens(self) -> bool:
        """Whether the request is carried out."""
        if self.effect is not None:
            return self.effect
        if self.garbage is not None:
            return self.garbage in SPOILS_TRUE_ANSWER
        return self._answers in ([], ["answer_after_effect"], ["lost_answer"])


class FaultStatus(Fault):
    """A rule with how many requests matched it, and how many of these it hit."""

    seen: int = 0
    fired: int = 0


class Rule:
    """An installed rule and its counts; `released` is set once it is no longer installed."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.seen = 0
        self.fired = 0
        self.released = asyncio.Event()
        self._draws: Counter[tuple[str, str]] = Counter()

    def claims(self, route: str, contact: str) -> bool:
        """Return whether this request is to go wrong by this rule, and count it."""
        fault = self.fault
        if fault.route not in ("*", route):
            return False
        if fault.contact is not None and digits(fault.contact) != digits(contact):
            return False
        self.seen += 1
        if self.seen <= fault.skip or (fault.times is not None and self.fired >= fault.times):
            return False
        if fault.probability is not None:
            key = (route, digits(contact))
            draw = Random(f"{fault.seed} {key} {self._draws[key]}").random()
            self._draws[key] += 1
            if draw >= fault.probability:
                return False
        self.fired += 1
        return True


class Rules:
    """The installed rules, in order."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def install(self, faults: Sequence[Fault]) -> None:
        """Replace all rules; whatever the old ones hold goes on."""
        old, self._rules = self._rules, [Rule(fault) for fault in faults]
        for rule in old:
            rule.released.set()

    def choose(self, route: str, contact: str) -> Rule | None:
        """Return the first rule that claims the request."""
        return next((rule for rule in self._rules if rule.claims(route, contact)), None)

    def status(self) -> list[FaultStatus]:
        """Return every rule with its counts."""
        return [
            FaultStatus(**rule.fault.model_dump(), seen=rule.seen, fired=rule.fired)
            for rule in self._rules
        ]
