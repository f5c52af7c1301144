"""Contact resolution: from a phone number to the provider's contact id, cached."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from cachetools import TTLCache
from pydantic import BaseModel
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.failures import check_lost_attempts, lookup_failure, map_unexpected_errors
from activities.opt_out import OptOuts
from activities.provider import Provider
from activities.retries import RetryLimits
from activities.single_flight import SingleFlight
from send_whatsapp.cgb.client import Budget
from send_whatsapp.cgb.contact_responses import Contact as FoundContact
from send_whatsapp.cgb.errors import CGBError
from send_whatsapp.contract.attempts import AttemptFailure
from send_whatsapp.contract.errors import ErrorType, failure
from send_whatsapp.contract.phone import InvalidPhoneNumber, to_e164

MAX_CACHED = 100_000

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
    """The recipient: phone number (E.164) and the provider's contact id.

    `may_write_at` is the time at which the provider last showed that the person has not opted out.
    """

    to: str
    contact_id: str
    may_write_at: datetime | None = None


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
        opt_outs: OptOuts,
        *,
        region: str,
        cache_timeout_s: float,
        one_request: bool = False,
        on_cache: OnCache = lambda cache, hit: None,
    ) -> None:
        self._provider = provider
        self._opt_outs = opt_outs
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

    def contact(self, number: str, contact_id: str) -> Contact:
        """Return the contact with what this worker knows about its opt-out."""
        at = self._opt_outs.may_write_at(contact_id)
        return Contact(to=number, contact_id=contact_id, may_write_at=at)

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
            return Resolution(contact=self.contact(number, contact_id))

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

    def _raise_failed_lookup(self, request: ResolveContact) -> None:
        info = activity.info()
        # The heartbeat outlives an operator's reset, after which attempts count from 1 again.
        if request.failed_lookup and info.attempt == 1 and not info.heartbeat_details:
            activity.heartbeat("raised the failure of the earlier lookup")
            raise self._provider.handle_failure(request.failed_lookup.error())

    async def _find(self, number: str, step: int, budget: Budget) -> str | None:
        self._on_cache("contacts", False)
        client = self._provider.client
        steps: list[Callable[[], Awaitable[FoundContact | None]]] = [
            lambda: client.find_contact(number, budget),
            lambda: client.find_contact(number.removeprefix("+"), budget),
            lambda: client.create_contact(number, f"Contact {number[-4:]}", budget),
        ]
        last = step + 1 if self._one_request else len(steps)
        for call in steps[step:last]:
            contact = await call()
            if contact is not None:
                self._ids[number] = contact.id
                self._forgotten.pop(contact.id, None)
                self._opt_outs.learn(contact)
                return contact.id
        return None
