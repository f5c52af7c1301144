"""Which flow a template's name means."""

import re
from collections.abc import Sequence
from typing import Literal, Protocol

from pydantic import BaseModel

_SEPARATORS = re.compile(r"[\s_-]+")

MatchedBy = Literal["configured", "catalogue", "exact", "case-insensitive", "partial"]


class NamedFlow(Protocol):
    """A flow of the provider's account."""

    @property
    def id(self) -> str:
        """The provider's id, opaque text."""

    @property
    def name(self) -> str:
        """The name that people gave it."""


class FlowMatch(BaseModel):
    """The result of a lookup: the flow and how it matched, or the reason why no flow matches."""

    flow_id: str | None = None
    matched_by: MatchedBy | None = None
    reason: str | None = None


def variable_name(template: str) -> str:
    """Return `<NAME>` of the setting `CGB_TEMPLATE_<NAME>` that maps a template to a flow."""
    return re.sub(r"[^A-Z0-9]+", "_", template.upper())


def folded(name: str) -> str:
    """Return a name without the differences of case, spaces, `-` and `_`."""
    return _SEPARATORS.sub("", name).casefold()


def match(template: str, flows: Sequence[NamedFlow]) -> FlowMatch:
    """Return the flow that a template name means; the first step with one match wins.

    Exact name; the same name if case, spaces, `-` and `_` are ignored; the one flow whose name
    contains each word of the template. Several matches at a step are no match, and the reason
    lists them (docs/request.md, "Templates").
    """
    name, words = folded(template), set(_words(template))
    steps: list[tuple[MatchedBy, list[NamedFlow]]] = [
        ("exact", [f for f in flows if f.name == template]),
        ("case-insensitive", [f for f in flows if name and folded(f.name) == name]),
        ("partial", [f for f in flows if words and words <= set(_words(f.name))]),
    ]
    ambiguous = None
    for step, hits in steps:
        if len(hits) == 1:
            return FlowMatch(flow_id=hits[0].id, matched_by=step)
        if hits and ambiguous is None:
            ambiguous = hits
    if ambiguous:
        names = ", ".join(f'"{_shown(f.name)}"' for f in ambiguous[:5])
        more = f" and {len(ambiguous) - 5} more" if len(ambiguous) > 5 else ""
        return FlowMatch(reason=f"several flows match the template: {names}{more}")
    return FlowMatch(reason="no flow matches the template")


def _words(name: str) -> list[str]:
    return [word.casefold() for word in _SEPARATORS.split(name) if word]


def _shown(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name)[:60]
