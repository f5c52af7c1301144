"""Faults: rules that say which calls go wrong, how often, and how."""

import asyncio
import random
from typing import Any, Literal

from pydantic import BaseModel, Field

Route = Literal[
    "*",
    "send_*",
    "account",
    "list_flows",
    "list_custom_fields",
    "list_tags",
    "find_tag",
    "create_tag",
    "find_contact",
    "create_contact",
    "get_contact",
    "list_contact_tags",
    "add_tag",
    "remove_tag",
    "send_text",
    "send_file",
    "send_flow",
    "send_content",
]
Kind = Literal["answer", "cut", "reset", "hang", "hold", "drip", "raw"]


class Fault(BaseModel):
    """One rule. The first rule that matches a call applies to it.

    `kind` is what happens: `answer` responds with `status`, `body` and `headers`; `cut` closes the
    connection, `reset` resets it; `hang` never responds; `hold` waits until the rules are replaced,
    and then does and responds what it does without a fault; `drip` sends the response at one byte a
    second; `raw` sends bytes that need not be HTTP. With `effect` the call does its work first.
    """

    route: Route = "*"
    kind: Kind = "answer"
    effect: bool = False
    phone: str | None = Field(None, description="only calls about this phone")
    times: int | None = Field(None, description="how many calls; None: all")
    skip: int = Field(0, description="matching calls that pass first")
    probability: float = 1.0
    delay_ms: int = 0
    status: int = 503
    body: Any = Field(None, description="JSON, or text that is sent as it is")
    headers: dict[str, str] = {}
    raw: str = Field("", description="bytes to send, as latin-1")


class Faults:
    """The current rules. `seed` makes their probabilities repeatable."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self.rules: list[Fault] = []
        self._replaced = asyncio.Event()

    def install(self, rules: list[Fault], seed: int = 0) -> None:
        """Replace the rules."""
        self._random = random.Random(seed)
        self.rules = [rule.model_copy() for rule in rules]
        self._replaced.set()
        self._replaced = asyncio.Event()

    async def until_replaced(self) -> None:
        """Wait until the current rules are replaced."""
        await self._replaced.wait()

    def next(self, route: str, digits: str | None) -> Fault | None:
        """Return the rule that applies to a call, and count the call; None if no rule does."""
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
