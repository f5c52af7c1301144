"""Whether a contact may be written to: what the provider shows about its opt-out, cached."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from cachetools import TTLCache

from activities.provider import Provider
from activities.single_flight import SingleFlight
from send_whatsapp.cgb.client import Budget
from send_whatsapp.cgb.contact_responses import Contact, Tag
from send_whatsapp.cgb.errors import NotUnderstood, Rejected
from send_whatsapp.cgb.tags import ContactState

MAX_CACHED = 100_000

_CALL = "read the contact"


@dataclass(frozen=True)
class OptOutRules:
    """The settings: whether opt-outs are respected, the tag, and for how long answers are kept."""

    mode: Literal["off", "respect"]
    tag: str
    cache_s: int


class OptOuts:
    """Judges contacts just before a send; with `off` it knows nothing and calls nothing.

    Answers of all lookups of a contact are kept for `cache_s` seconds.
    """

    def __init__(self, provider: Provider, rules: OptOutRules) -> None:
        self._provider = provider
        self._rules = rules
        # By contact id: why the contact may not be written to (None: it may), and when we learned.
        self._known: TTLCache[str, tuple[str | None, datetime]] = TTLCache(
            MAX_CACHED, rules.cache_s
        )
        self._lookups = SingleFlight[str | None]()

    @property
    def respected(self) -> bool:
        """Whether a contact that has opted out is not written to."""
        return self._rules.mode == "respect"

    @property
    def tag(self) -> str:
        """The name of the tag of contacts that have opted out."""
        return self._rules.tag

    def is_tag(self, name: str) -> bool:
        """Return whether a tag with this name means an opt-out."""
        return name.strip().casefold() == self._rules.tag.casefold()

    def tags_of(self, contact: Contact) -> Sequence[Tag]:
        """Return the tags of a contact that mean an opt-out."""
        return [tag for tag in contact.tags or () if self.is_tag(tag.name)]

    def learn(self, contact: Contact) -> None:
        """Keep what a response shows about a contact."""
        if self.respected and contact.shows_state:
            self._known[contact.id] = (self._reason(contact), datetime.now(UTC))

    def forget(self, contact_id: str) -> None:
        """Ask the provider again before the next send, because the opt-out has changed."""
        self._known.pop(contact_id, None)

    def may_write_at(self, contact_id: str) -> datetime | None:
        """Return when the provider last showed that the contact may be written to, if known."""
        reason, at = self._known.get(contact_id, ("", None))
        return at if reason is None else None

    async def reason(
        self, contact_id: str, may_write_at: datetime | None, budget: Budget
    ) -> str | None:
        """Return why a contact may not be written to; None if it may.

        `may_write_at` is the time at which another worker may have learned that it may. Calls the
        provider if everything that is known is too old. Raises CGBError.
        """
        if not self.respected:
            return None
        known = self._known.get(contact_id)
        if known:
            return known[0]
        newest = datetime.now(UTC) - timedelta(seconds=self._rules.cache_s)
        if may_write_at is not None and may_write_at > newest:
            return None
        return await self._lookups.do(contact_id, lambda: self._look_up(contact_id, budget))

    async def _look_up(self, contact_id: str, budget: Budget) -> str | None:
        contact = await ContactState(self._provider.client).contact(contact_id, budget)
        if contact is None:
            raise Rejected(_CALL, "the provider does not know it any more", unsent=True)
        if not contact.shows_state:
            detail = "a response that shows neither `subscribed` nor `tags`"
            raise NotUnderstood(_CALL, detail, unsent=True)
        self.learn(contact)
        return self._reason(contact)

    def _reason(self, contact: Contact) -> str | None:
        if contact.unsubscribed:
            return "the provider shows the person as unsubscribed"
        if self.tags_of(contact):
            return f"the contact has the tag {self._rules.tag}"
        return None
