"""Faults: which calls go wrong, how often, and in which way."""

import random
from typing import Any, Literal

from pydantic import BaseModel, Field

Route = Literal[
    "*",
    "send_*",
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
Kind = Literal["answer", "cut", "reset", "hang", "drip", "raw"]


class Fault(BaseModel):
    """One rule; the first that fits a call decides what happens to it.

    `effect` says whether the call does its work before it goes wrong. `kind`: `answer` with status,
    body and headers; `cut` or `reset` the connection; `hang` without an answer; `drip` the answer a
    byte a second; `raw` bytes instead of HTTP.
    """

    route: Route = "*"
    kind: Kind = "answer"
    effect: bool = False
    phone: str | None = Field(None, description="only calls for the contact with these digits")
    times: int | None = Field(None, description="how often; None for always")
    skip: int = Field(0, description="calls that pass first")
    probability: float = 1.0
    delay_ms: int = 0
    status: int = 503
    body: Any = Field(None, description="JSON, or text as it is")
    headers: dict[str, str] = {}
    raw: str = Field("", description="bytes to write, as latin-1")


class Faults:
    """The rules in force."""

    def __init__(self, seed: int = 0) -> None:
        """Begin without any; `seed` makes probabilities repeatable."""
        self._random = random.Random(seed)
        self.rules: list[Fault] = []

    def install(self, rules: list[Fault], seed: int = 0) -> None:
        """Replace the rules."""
        self._random = random.Random(seed)
        self.rules = [rule.model_copy() for rule in rules]

    def next(self, route: str, digits: str | None) -> Fault | None:
        """Return what goes wrong with this call, and count it."""
        for rule in self.rules:
            if rule.route not in ("*", route) and not (
                rule.route == "send_*" and route.startswith("send_")
            ):
                continue
            if rule.phone is not None and rule.phone.lstrip("+") != digits:
                continue
            if rule.times == 0 or self._random.random() >= rule.probability:
                continue
            if rule.skip > 0:
                rule.skip -= 1
                continue
            if rule.times is not None:
                rule.times -= 1
            return rule
        return None
