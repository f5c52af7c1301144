"""Contact resolution: from a phone number to the provider's contact id, cached."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from cachetools import TTLCache
from pydantic import BaseModel
from temporalio import activity

from activities.failures import lookup_failure
from activities.provider import Provider, SingleFlight, map_unexpected_errors
from send_whatsapp.cgb.client import Budget
from send_whatsapp.cgb.errors import CGBError
from send_whatsapp.contract.errors import ErrorType, failure
from send_whatsapp.contract.phone import InvalidPhoneNumber, to_e164

MAX_CACHED = 100_000

LOOKUPS_AT_ONCE = 25
"""Contacts of a batch looked up side by side by one execution."""

OnCache = Callable[[str, bool], None]
"""Told what a cache saved or did not: its name, and whether it gave the answer or a call had to."""


class ResolveContact(BaseModel):
    """Whom to resolve, and from which step on; earlier steps found nobody."""

    to: str
    step: int = 0


class Contact(BaseModel):
    """The person a message goes to: phone number (E.164) and the provider's id of them."""

    to: str
    contact_id: str


class Resolution(BaseModel):
    """The contact, or the step to go on with where one execution may make one request only."""

    contact: Contact | None = None
    next_step: int = 0


class ContactActivities:
    """Resolves phone numbers; holds the cache of contact ids by E.164."""

    def __init__(
        self,
        provider: Provider,
        *,
        region: str,
        cache_timeout_s: float,
        one_request: bool = False,
        on_cache: OnCache = lambda cache, hit: None,
    ) -> None:
        """Use the provider's client; read numbers without `+` by the rules of `region` first.

        With `one_request` each execution makes one request at most, so that a limit on activities
        is a limit on requests.
        """
        self._provider = provider
        self._region = region
        self._one_request = one_request
        self._on_cache = on_cache
        self._ids: TTLCache[str, str] = TTLCache(MAX_CACHED, cache_timeout_s)
        self._flight = SingleFlight[str | None]()

    def e164(self, to: str) -> str:
        """Return the number in E.164; raise the failure `InvalidPhoneNumber`."""
        try:
            return to_e164(to, self._region)
        except InvalidPhoneNumber as error:
            raise failure(
                ErrorType.INVALID_PHONE_NUMBER, f"Correct the phone number in `to`: {error}"
            ) from None

    def cached(self, to: str) -> str | None:
        """Return the contact id of an E.164 number where this worker knows it."""
        contact_id = self._ids.get(to)
        if contact_id is not None:
            self._on_cache("contacts", True)
        return contact_id

    def forget(self, contact_id: str) -> None:
        """Drop a contact that the provider no longer knows."""
        for to in [to for to, known in self._ids.items() if known == contact_id]:
            self._ids.pop(to, None)

    @activity.defn
    async def resolve_contact(self, asked: ResolveContact) -> Resolution:
        """Return the contact of a phone number, created at the provider where it is missing.

        Searches by `+E.164`, then by the digits; concurrent calls for one number make one contact.
        Fails as `InvalidPhoneNumber` before any call, or as the provider's answer demands.
        """
        with map_unexpected_errors():
            number = self.e164(asked.to)
            contact_id = self.cached(number)
            if contact_id is None:
                budget = self._provider.budget()
                try:
                    contact_id = await self._flight.do(
                        _key(number, asked.step), lambda: self._find(number, asked.step, budget)
                    )
                except CGBError as error:
                    private = (self._provider.key, number, number[1:])
                    failed = lookup_failure(error, budget.attempt, private)
                    raise self._provider.failed(failed) from None
            if contact_id is None:
                return Resolution(next_step=asked.step + 1)
            return Resolution(contact=Contact(to=number, contact_id=contact_id))

    async def resolve_in_passing(self, to: str, within_s: float) -> str | None:
        """Return the contact id of an E.164 number where the cache or a quick lookup gives it.

        One that fails or takes longer is left to `resolve_contact`, as its first attempt.
        """
        return self.cached(to) or await self._look_up(to, within_s)

    async def resolve_many(self, numbers: Sequence[str]) -> dict[str, str]:
        """Return the contact ids of E.164 numbers; what cannot be had at once is left out.

        Without a limit on requests unknown contacts are looked up, a few at a time, until the first
        failure: what failed is left to an activity of its own, which tells it and tries again.
        """
        found = {to: known for to in numbers if (known := self.cached(to)) is not None}
        missing = [] if self._one_request else [to for to in numbers if to not in found]
        gate = asyncio.Semaphore(LOOKUPS_AT_ONCE)
        failed = False

        async def look_up(to: str) -> None:
            nonlocal failed
            async with gate:
                if failed:
                    return
                contact_id = await self._look_up(to, within_s=None)
            if contact_id is None:
                failed = True
            else:
                found[to] = contact_id

        await asyncio.gather(*(look_up(to) for to in missing))
        return found

    async def _look_up(self, to: str, within_s: float | None) -> str | None:
        budget = self._provider.budget()
        return await self._flight.in_passing(_key(to), lambda: self._find(to, 0, budget), within_s)

    async def _find(self, number: str, step: int, budget: Budget) -> str | None:
        self._on_cache("contacts", False)
        client = self._provider.client
        steps: list[Callable[[], Awaitable[str | None]]] = [
            lambda: client.find_contact(number, budget),
            lambda: client.find_contact(number.removeprefix("+"), budget),
            lambda: client.create_contact(number, f"Contact {number[-4:]}", budget),
        ]
        last = step + 1 if self._one_request else len(steps)
        for ask in steps[step:last]:
            contact_id = await ask()
            if contact_id is not None:
                self._ids[number] = contact_id
                return contact_id
        return None


def _key(number: str, step: int = 0) -> str:
    return f"{number} {step}"
