"""Flow lookup: from a template's name to the provider's flow, cached."""

import time
from collections.abc import Mapping

from cachetools import TTLCache
from pydantic import BaseModel
from temporalio import activity

from activities.contacts import OnCache
from activities.failures import check_lost_attempts, lookup_failure, map_unexpected_errors
from activities.provider import Provider
from activities.retries import RetryLimits
from activities.single_flight import SingleFlight
from send_whatsapp.cgb.account_responses import Flow
from send_whatsapp.cgb.client import Budget
from send_whatsapp.cgb.errors import CGBError
from send_whatsapp.contract.catalogue import Catalogue
from send_whatsapp.contract.templates import FlowMatch, match, variable_name

REFRESH_INTERVAL_S = 5.0
"""Minimum seconds between refreshes caused by a template missing from the cached list."""

_FLOWS = "flows"


class FindFlow(BaseModel):
    """The template to look up."""

    template: str
    retry: RetryLimits


class FlowActivities:
    """Looks templates up; holds the configured mappings and the cache of the flow list.

    `configured` maps names from `CGB_TEMPLATE_<NAME>` to flow ids, and wins over the catalogue.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        configured: Mapping[str, str],
        catalogue: Catalogue,
        cache_timeout_s: float,
        on_cache: OnCache = lambda cache, hit: None,
    ) -> None:
        self._provider = provider
        self._configured = configured
        self._catalogue = catalogue
        self._on_cache = on_cache
        self._list: TTLCache[str, list[Flow]] = TTLCache(1, cache_timeout_s)
        self._listed_at = -REFRESH_INTERVAL_S
        self._fetches = SingleFlight[list[Flow]]()

    def cached(self, template: str) -> FlowMatch | None:
        """Return the flow if it is configured, listed in the catalogue, or in the cached list."""
        configured = self._configured.get(variable_name(template))
        if configured:
            return FlowMatch(flow_id=configured, matched_by="configured")
        listed = self._catalogue.entry(template)
        if listed and listed.flow:
            return FlowMatch(flow_id=listed.flow, matched_by="catalogue")
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
