"""The activities that change somebody's opt-out: each makes one provider call."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel
from temporalio import activity

from activities.failures import change_failure, map_unexpected_errors
from activities.opt_out import OptOuts
from activities.provider import Provider
from activities.retries import RetryLimits
from send_whatsapp.cgb.errors import CGBError
from send_whatsapp.cgb.tags import ContactState

T = TypeVar("T")


class OfAccount(BaseModel):
    """Input of an activity about the account's tags."""

    retry: RetryLimits


class OfContact(OfAccount):
    """Input of an activity about one contact."""

    contact_id: str


class TagOfContact(OfContact):
    """Input of an activity that adds or removes a tag."""

    tag_id: str


class FoundTag(BaseModel):
    """The id of the tag for opt-outs; None if the account has no such tag."""

    tag_id: str | None


class ShownContact(BaseModel):
    """The ids of a contact's tags that mean an opt-out, and whether the worker respects them.

    `unsubscribed` is None if the provider was not asked.
    """

    tag_ids: list[str]
    unsubscribed: bool | None = None
    respected: bool


class OptOutActivities:
    """Reads and changes the tag for opt-outs."""

    def __init__(self, provider: Provider, opt_outs: OptOuts) -> None:
        self._provider = provider
        self._opt_outs = opt_outs
        self._state = ContactState(provider.client)

    def all(self) -> Sequence[Callable[..., Any]]:
        """Return every activity."""
        return (
            self.find_opt_out_tag,
            self.create_opt_out_tag,
            self.add_opt_out_tag,
            self.remove_opt_out_tag,
            self.read_opt_out,
        )

    @activity.defn
    async def find_opt_out_tag(self, request: OfAccount) -> FoundTag:
        """Return the account's tag for opt-outs. Fails like a lookup."""
        tags = await self._call(self._state.tags(self._provider.budget()), request.retry)
        ids = [tag.id for tag in tags if tag.id and self._opt_outs.is_tag(tag.name)]
        return FoundTag(tag_id=ids[0] if ids else None)

    @activity.defn
    async def create_opt_out_tag(self, request: OfAccount) -> FoundTag:
        """Create the tag for opt-outs. Fails like a lookup."""
        call = self._state.create_tag(self._opt_outs.tag, self._provider.budget())
        return FoundTag(tag_id=await self._call(call, request.retry))

    @activity.defn
    async def add_opt_out_tag(self, request: TagOfContact) -> ShownContact:
        """Add the tag to a contact, which may have it already. Fails like a lookup."""
        budget = self._provider.budget()
        call = self._state.add_tag(request.contact_id, request.tag_id, budget)
        await self._call(call, request.retry, request.contact_id)
        self._opt_outs.forget(request.contact_id)
        return ShownContact(tag_ids=[request.tag_id], respected=self._opt_outs.respected)

    @activity.defn
    async def remove_opt_out_tag(self, request: TagOfContact) -> None:
        """Remove the tag from a contact. Fails like a lookup."""
        budget = self._provider.budget()
        call = self._state.remove_tag(request.contact_id, request.tag_id, budget)
        await self._call(call, request.retry, request.contact_id)
        self._opt_outs.forget(request.contact_id)

    @activity.defn
    async def read_opt_out(self, request: OfContact) -> ShownContact:
        """Return what the provider shows about a contact's opt-out. Fails like a lookup."""
        call = self._state.contact(request.contact_id, self._provider.budget())
        contact = await self._call(call, request.retry, request.contact_id)
        tags = self._opt_outs.tags_of(contact) if contact else ()
        return ShownContact(
            tag_ids=[tag.id for tag in tags if tag.id],
            unsubscribed=bool(contact and contact.unsubscribed),
            respected=self._opt_outs.respected,
        )

    async def _call(
        self, call: Awaitable[T], retry: RetryLimits, contact_id: str | None = None
    ) -> T:
        """Return what a call of the provider returns, or raise its failure."""
        with map_unexpected_errors():
            try:
                return await call
            except CGBError as error:
                private = (self._provider.key, *filter(None, [contact_id]))
                failure = change_failure(error, private, retry.of_activity())
                raise self._provider.handle_failure(failure) from None
