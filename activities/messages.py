"""Sending: text, flow or file, one provider call that matters in each, and nothing after it."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime

from pydantic import BaseModel
from temporalio import activity

from activities.attempts import SendStatus, ambiguous_since_earlier_attempt, hold, record_ambiguity
from activities.contacts import ContactActivities
from activities.failures import send_failure
from activities.provider import Provider, map_unexpected_errors
from send_whatsapp.cgb.client import Budget
from send_whatsapp.cgb.errors import CGBError, Rejected
from send_whatsapp.contract.errors import delivery_unknown, expired, utc
from send_whatsapp.contract.file_url import fits_type
from send_whatsapp.contract.request import Delivery, FileType

logger = logging.getLogger(__name__)


class Send(BaseModel):
    """What every send needs to know.

    `origin_run_id` is the run that the send belongs to; it differs from the activity's own run
    after a workflow reset. `expires_at` is a time after which nothing may be sent.
    """

    contact_id: str
    delivery: Delivery
    origin_run_id: str
    expires_at: datetime | None = None


class SendText(Send):
    """A free text."""

    text: str


class SendFlow(Send):
    """A flow with its variables, as text by name."""

    flow_id: str
    variables: dict[str, str]


class SendFile(Send):
    """A file by its public URL."""

    url: str
    file_type: FileType


class Accepted(BaseModel):
    """The provider's yes: the message id, hardly ever given, and the time (UTC, ISO 8601)."""

    message_id: str | None = None
    at: str


class MessageActivities:
    """Sends messages; the guarantees of `delivery` are kept here and by the retry policy."""

    def __init__(self, provider: Provider, contacts: ContactActivities) -> None:
        """Use the provider's client; a contact it no longer knows is dropped from `contacts`."""
        self._provider = provider
        self._contacts = contacts

    @activity.defn
    async def send_text(self, send: SendText) -> Accepted:
        """Send a text once. Fails as the provider's answer and `delivery` demand."""
        client = self._provider.client
        return await self._once(
            send, (send.text,), lambda budget: client.send_text(send.contact_id, send.text, budget)
        )

    @activity.defn
    async def send_flow(self, send: SendFlow) -> Accepted:
        """Set the variables and send the flow, in one call. Fails as `send_text` does."""
        client = self._provider.client
        return await self._once(
            send,
            send.variables.values(),
            lambda budget: client.send_flow(send.contact_id, send.flow_id, send.variables, budget),
        )

    @activity.defn
    async def send_file(self, send: SendFile) -> Accepted:
        """Send a file once; the provider calls a document `file`. Fails as `send_text` does."""
        client = self._provider.client
        if not fits_type(send.url, send.file_type):
            logger.warning("the file name does not fit fileType %s", send.file_type)
        kind = "file" if send.file_type == "document" else send.file_type
        return await self._once(
            send,
            (send.url,),
            lambda budget: client.send_file(send.contact_id, send.url, kind, budget),
        )

    @activity.defn
    async def stop_retries(self, activity_id: str) -> SendStatus:
        """Let no further attempt of the run's own send begin; return how it stands."""
        return await hold(activity_id)

    async def _once(
        self,
        send: Send,
        words: Iterable[str],
        call: Callable[[Budget], Awaitable[str | None]],
    ) -> Accepted:
        """Make the one call; `words` are what no failure may repeat."""
        with map_unexpected_errors(sending=True):
            since = ambiguous_since_earlier_attempt()
            _refuse_what_may_not_go(send, since)
            budget = self._provider.budget()
            try:
                return Accepted(message_id=await call(budget), at=utc(datetime.now(UTC)))
            except CGBError as error:
                if isinstance(error, Rejected):
                    # Perhaps it knows the contact no longer, which it says in several shapes.
                    self._contacts.forget(send.contact_id)
                if since is None and not error.unsent:
                    since = utc(datetime.now(UTC))
                private = (self._provider.key, send.contact_id, *(w for w in words if len(w) > 2))
                raised = send_failure(error, budget.attempt, private, send.delivery, since)
            record_ambiguity(since)
            wait = raised.next_retry_delay
            if wait and send.expires_at and datetime.now(UTC) + wait >= send.expires_at:
                raise expired(since)
            raise self._provider.failed(raised)


def _refuse_what_may_not_go(send: Send, since: str | None) -> None:
    if send.delivery == "at_most_once":
        if send.origin_run_id != activity.info().workflow_run_id:
            raise delivery_unknown(
                "this run is a reset of one that may have sent it",
                utc(activity.info().scheduled_time),
            )
        if since is not None:
            raise delivery_unknown("an earlier attempt ended without an answer", since)
    if send.expires_at and datetime.now(UTC) >= send.expires_at:
        raise expired(since)
