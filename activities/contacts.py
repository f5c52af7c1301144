"""Contact resolution: from a phone number to the provider's contact id, cached."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from cachetools import TTLCache
from pydantic import BaseModel
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.failures import (
    AttemptFailure,
    check_lost_attempts,
    lookup_failure,
    map_unexpected_errors,
)
from activities.provider import Provider
from activities.retries import RetryLimits
from activities.single_flight import SingleFlight
from send_whatsapp.cgb.client import Budget
from send_whatsapp.cgb.errors import CGBError
from send_whatsapp.contract.errors import ErrorType, failure
from send_whatsapp.contract.phone import InvalidPhoneNumber, to_e164

MAX_CACHED = 100_000

CONCURRENT_LOOKUPS = 25
"""Contacts of a batch that one activity looks up at the same time."""

OnCache = Callable[[str, bool], None]
"""Called with a cache's name and whether it had the answer."""


class ResolveContact(BaseModel):
    """The phone number to resolve.

    `step` is the index of the first search step still to try. `failed_lookup` is the failure of a
    lookup that was made before this activity started.
    """

    to: str
    retry: RetryLimits
    step: int = 0
    failed_lookup: AttemptFailure | None = None


class Contact(BaseModel):
    """The recipient: phone number (E.164) and the provider's contact id."""

    to: str
    contact_id: str


class Resolution(BaseModel):
    """The contact, or the next step if one activity may make only one request."""

    contact: Contact | None = None
    next_step: int = 0


class ContactActivities:
    """Resolves phone numbers; holds the cache of contact ids by E.164.

    `region` is tried first for numbers without `+`. With `one_request` each activity makes at most
    one provider request, so that a limit on activities is a limit on requests.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        region: str,
        cache_timeout_s: float,
        one_request: bool = False,
        on_cache: OnCache = lambda cache, hit: None,
    ) -> None:
        self._provider = provider
        self._region = region
        self._one_request = one_request
        self._on_cache = on_cache
        self._ids: TTLCache[str, str] = TTLCache(MAX_CACHED, cache_timeout_s)
        # As old as the entries of `_ids` can be, so a forgotten id never becomes valid by itself.
        self._forgotten: TTLCache[str, bool] = TTLCache(MAX_CACHED, cache_timeout_s)
        self._lookups = SingleFlight[str | None]()

    def e164(self, to: str) -> str:
        """Return the number in E.164. Raises the failure `InvalidPhoneNumber`."""
        try:
            return to_e164(to, self._region)
        except InvalidPhoneNumber as error:
            raise failure(
                ErrorType.INVALID_PHONE_NUMBER, f"Correct the phone number in `to`: {error}"
            ) from None

    def cached(self, number: str) -> str | None:
        """Return the contact id of an E.164 number if this worker has it in its cache."""
        contact_id = self._ids.get(number)
        if contact_id is None or contact_id in self._forgotten:
            return None
        self._on_cache("contacts", True)
        return contact_id

    def forget(self, contact_id: str) -> None:
        """Ignore the cached numbers of a contact that the provider no longer knows.

        They are not removed, because finding them among all others would stop the worker.
        """
        self._forgotten[contact_id] = True

    @activity.defn
    async def resolve_contact(self, request: ResolveContact) -> Resolution:
        """Return the contact of a phone number, and create it at the provider if it is missing.

        Searches by `+E.164`, then by the digits. Concurrent calls for one number create one
        contact. Raises `InvalidPhoneNumber` before any call, or a failure of the lookup.
        """
        with map_unexpected_errors():
            self._raise_failed_lookup(request)
            check_lost_attempts(request.retry)
            number = self.e164(request.to)
            contact_id = self.cached(number)
            if contact_id is None:
                try:
                    contact_id = await self.look_up(number, request.retry, request.step)
                except ApplicationError as error:
                    raise self._provider.handle_failure(error) from None
            if contact_id is None:
                return Resolution(next_step=request.step + 1)
            return Resolution(contact=Contact(to=number, contact_id=contact_id))

    async def look_up(self, number: str, retry: RetryLimits, step: int = 0) -> str | None:
        """Return the contact id of an E.164 number from the provider, from this step on.

        None only with `one_request`, if this step found nobody. Raises the lookup's failure.
        """
        await self._provider.key_monitor.admit()
        budget = self._provider.budget()
        try:
            return await self._lookups.do(
                f"{number} {step}", lambda: self._find(number, step, budget)
            )
        except CGBError as error:
            private = (self._provider.key, number, number[1:])
            raise lookup_failure(error, private, retry.of_activity()) from None

    async def look_up_many(self, numbers: Sequence[str], retry: RetryLimits) -> dict[str, str]:
        """Return the contact ids of E.164 numbers; numbers without a quick answer are left out.

        Unknown contacts are looked up, a few at a time, until the first failure; then each of the
        others needs an activity, which shows the failure and is retried. With `one_request` nothing
        is looked up.
        """
        found = {to: known for to in numbers if (known := self.cached(to)) is not None}
        missing = [] if self._one_request else [to for to in numbers if to not in found]
        slots = asyncio.Semaphore(CONCURRENT_LOOKUPS)
        failed = False

        async def look_up(number: str) -> None:
            nonlocal failed
            async with slots:
                if failed:
                    return
                try:
                    contact_id = await self.look_up(number, retry)
                except ApplicationError:
                    failed = True
                    return
            if contact_id is not None:
                found[number] = contact_id

        await asyncio.gather(*(look_up(number) for number in missing))
        return found

    def _raise_failed_lookup(self, request: ResolveContact) -> None:
        info = activity.info()
        # The heartbeat outlives an operator's reset, after which attempts count from 1 again.
        if request.failed_lookup and info.attempt == 1 and not info.heartbeat_details:
            activity.heartbeat("raised the failure of the earlier lookup")
            raise self._provider.handle_failure(request.failed_lookup.error())

    async def _find(self, number: str, step: int, budget: Budget) -> str | None:
        self._on_cache("contacts", False)
        client = self._provider.client
        steps: list[Callable[[], Awaitable[str | None]]] = [
            lambda: client.find_contact(number, budget),
            lambda: client.find_contact(number.removeprefix("+"), budget),
            lambda: client.create_contact(number, f"Contact {number[-4:]}", budget),
        ]
        last = step + 1 if self._one_request else len(steps)
        for call in steps[step:last]:
            contact_id = await call()
            if contact_id is not None:
                self._ids[number] = contact_id
                self._forgotten.pop(contact_id, None)
                return contact_id
        return None
