"""Sending a text, a flow or a file: one provider call per attempt, and nothing after it."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime

from pydantic import BaseModel
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities import attempts, withdrawal
from activities.attempts import AttemptRecord
from activities.contacts import ContactActivities
from activities.failures import map_unexpected_errors, send_failure
from activities.provider import Provider
from activities.retries import RetryLimits
from activities.withdrawal import SendStatus
from send_whatsapp.cgb.client import Budget
from send_whatsapp.cgb.errors import CGBError, Rejected
from send_whatsapp.contract.errors import delivery_unknown, expired, utc
from send_whatsapp.contract.fields import Delivery, FileType
from send_whatsapp.contract.file_url import fits_type

logger = logging.getLogger(__name__)


class Send(BaseModel):
    """What every send needs.

    `origin_run_id` is the run that the send was made for; after a workflow reset it differs from
    the run of the activity. Nothing may be sent after `expires_at`.
    """

    contact_id: str
    delivery: Delivery
    retry: RetryLimits
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
    """The provider accepted the message at this time (UTC, ISO 8601).

    `message_id` is null unless the provider returned one, which it hardly ever does.
    """

    message_id: str | None = None
    at: str


class MessageActivities:
    """Sends messages, with the guarantees of `delivery` (docs/delivery.md).

    A contact that the provider no longer knows is removed from the cache of `contacts`.
    """

    def __init__(self, provider: Provider, contacts: ContactActivities) -> None:
        self._provider = provider
        self._contacts = contacts

    @activity.defn
    async def send_text(self, send: SendText) -> Accepted:
        """Send a text. Raises the failures of docs/errors.md, as docs/delivery.md explains."""
        client = self._provider.client
        return await self._attempt(
            send, (send.text,), lambda budget: client.send_text(send.contact_id, send.text, budget)
        )

    @activity.defn
    async def send_flow(self, send: SendFlow) -> Accepted:
        """Set the variables and send the flow, in one call. Fails like `send_text`."""
        client = self._provider.client
        return await self._attempt(
            send,
            send.variables.values(),
            lambda budget: client.send_flow(send.contact_id, send.flow_id, send.variables, budget),
        )

    @activity.defn
    async def send_file(self, send: SendFile) -> Accepted:
        """Send a file. Fails like `send_text`."""
        client = self._provider.client
        if not fits_type(send.url, send.file_type):
            logger.warning("the file extension does not fit fileType %s", send.file_type)
        # The provider's word for a document is `file`.
        kind = "file" if send.file_type == "document" else send.file_type
        return await self._attempt(
            send,
            (send.url,),
            lambda budget: client.send_file(send.contact_id, send.url, kind, budget),
        )

    @activity.defn
    async def stop_retries(self, activity_id: str) -> SendStatus:
        """Let no further attempt of the run's own send start; return the status of the send."""
        return await withdrawal.stop_retries(activity_id)

    @activity.defn
    async def end_overdue_attempt(self, activity_id: str, start_to_close_s: float) -> None:
        """End an attempt of the run's own send that has outlived its timeout, if there is one."""
        await withdrawal.end_overdue_attempt(activity_id, start_to_close_s)

    async def _attempt(
        self,
        send: Send,
        content: Iterable[str],
        call: Callable[[Budget], Awaitable[str | None]],
    ) -> Accepted:
        """Make the one call of this attempt; no failure may repeat the `content`."""
        with map_unexpected_errors(sending=True):
            earlier = attempts.earlier_attempts()
            _check_allowed(send, earlier)
            try:
                await self._provider.key_monitor.admit()
            except ApplicationError:
                attempts.record(earlier)
                raise
            budget = self._provider.budget()
            if send.delivery == "at_most_once":
                await attempts.record_call(earlier, budget.deadline)
            try:
                return Accepted(message_id=await call(budget), at=utc(datetime.now(UTC)))
            except CGBError as error:
                if isinstance(error, Rejected):
                    # The provider says in several ways that it no longer knows a contact.
                    self._contacts.forget(send.contact_id)
                known = earlier if error.unsent else earlier.with_ambiguous(datetime.now(UTC))
                private = (self._provider.key, send.contact_id, *filter(_is_telling, content))
                failure = send_failure(
                    error, private, send.delivery, known, send.retry.of_activity()
                )
            attempts.record(known)
            delay = failure.next_retry_delay
            if delay and send.expires_at and datetime.now(UTC) + delay >= send.expires_at:
                raise expired(known.ambiguous_since)
            raise self._provider.handle_failure(failure)


def _check_allowed(send: Send, earlier: AttemptRecord) -> None:
    """Raise the failure of a send that may not be attempted (again)."""
    since = earlier.ambiguous_since
    if send.delivery == "at_most_once" and send.origin_run_id != activity.info().workflow_run_id:
        raise delivery_unknown(
            "this run is a reset of a run that may have sent it",
            utc(activity.info().scheduled_time),
        )
    limit = send.retry.attempts if send.delivery == "at_least_once" else 1
    if since is not None and earlier.ambiguous_attempts >= limit:
        raise delivery_unknown("no attempt got a clear answer", since)
    if send.expires_at and datetime.now(UTC) >= send.expires_at:
        raise expired(since)


def _is_telling(text: str) -> bool:
    # Without a word like "1" or "no" in a message, nobody could read what went wrong.
    return len(text) > 2 or not text.isascii()
