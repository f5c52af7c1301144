"""Flow lookup: from a template's name to the provider's flow, cached."""

import re
import time
from collections.abc import Mapping, Sequence
from typing import Literal

from cachetools import TTLCache
from pydantic import BaseModel
from temporalio import activity

from activities.contacts import OnCache
from activities.failures import check_lost_attempts, lookup_failure, map_unexpected_errors
from activities.provider import Provider
from activities.retries import RetryLimits
from activities.single_flight import SingleFlight
from send_whatsapp.cgb.client import Budget
from send_whatsapp.cgb.errors import CGBError
from send_whatsapp.cgb.responses import Flow

REFRESH_INTERVAL_S = 5.0
"""Minimum seconds between refreshes caused by a template missing from the cached list."""

_FLOWS = "flows"
_SEPARATORS = re.compile(r"[\s_-]+")

MatchedBy = Literal["configured", "exact", "case-insensitive", "partial"]


class FindFlow(BaseModel):
    """The template to look up."""

    template: str
    retry: RetryLimits


class FlowMatch(BaseModel):
    """The result of a lookup: the flow and how it matched, or the reason why no flow matches."""

    flow_id: str | None = None
    matched_by: MatchedBy | None = None
    reason: str | None = None


def variable_name(template: str) -> str:
    """Return `<NAME>` of the setting `CGB_TEMPLATE_<NAME>` that maps a template to a flow."""
    return re.sub(r"[^A-Z0-9]+", "_", template.upper())


def match(template: str, flows: Sequence[Flow]) -> FlowMatch:
    """Return the flow that a template name means; the first step with one match wins.

    Exact name; the same name if case, spaces, `-` and `_` are ignored; the one flow whose name
    contains each word of the template. Several matches at a step are no match, and the reason
    lists them (docs/request.md, "Templates").
    """
    folded, words = _folded(template), set(_words(template))
    steps: list[tuple[MatchedBy, list[Flow]]] = [
        ("exact", [f for f in flows if f.name == template]),
        ("case-insensitive", [f for f in flows if folded and _folded(f.name) == folded]),
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


class FlowActivities:
    """Looks templates up; holds the configured mappings and the cache of the flow list.

    `configured` maps names from `CGB_TEMPLATE_<NAME>` to flow ids.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        configured: Mapping[str, str],
        cache_timeout_s: float,
        on_cache: OnCache = lambda cache, hit: None,
    ) -> None:
        self._provider = provider
        self._configured = configured
        self._on_cache = on_cache
        self._list: TTLCache[str, list[Flow]] = TTLCache(1, cache_timeout_s)
        self._listed_at = -REFRESH_INTERVAL_S
        self._fetches = SingleFlight[list[Flow]]()

    def cached(self, template: str) -> FlowMatch | None:
        """Return the flow if it is configured or in the cached list."""
        configured = self._configured.get(variable_name(template))
        if configured:
            return FlowMatch(flow_id=configured, matched_by="configured")
        found = match(template, self._list.get(_FLOWS, []))
        if found.flow_id is None:
            return None
        self._on_cache(_FLOWS, True)
        return found

    @activity.defn
    async def find_flow(self, request: FindFlow) -> FlowMatch:
        """Return the flow of a template, or the reason why no flow matches.

        A configured id is used without a provider call. A failed provider call is a failure, never
        "no such template".
        """
        with map_unexpected_errors():
            check_lost_attempts(request.retry)
            known = self.cached(request.template)
            if known:
                return known
            await self._provider.key_monitor.admit()
            budget = self._provider.budget()
            try:
                flows = await self._flows(budget)
            except CGBError as error:
                failed = lookup_failure(error, (self._provider.key,), request.retry.of_activity())
                raise self._provider.handle_failure(failed) from None
            return match(request.template, flows)

    async def _flows(self, budget: Budget) -> list[Flow]:
        """Return the cached list if it was fetched within the last few seconds, else a new one."""
        flows = self._list.get(_FLOWS)
        fresh = time.monotonic() - self._listed_at < REFRESH_INTERVAL_S
        self._on_cache(_FLOWS, flows is not None and fresh)
        if flows is not None and fresh:
            return flows
        return await self._fetches.do(_FLOWS, lambda: self._fetch(budget))

    async def _fetch(self, budget: Budget) -> list[Flow]:
        flows = await self._provider.client.flows(budget)
        self._list[_FLOWS] = flows
        self._listed_at = time.monotonic()
        return flows


def _words(name: str) -> list[str]:
    return [word.casefold() for word in _SEPARATORS.split(name) if word]


def _folded(name: str) -> str:
    return _SEPARATORS.sub("", name).casefold()


def _shown(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name)[:60]
