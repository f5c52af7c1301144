"""One attempt to send a message: one provider call, and nothing after it.

A single send and each row of a group make their attempts here, with the same guarantees.
"""

import dataclasses
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.contacts import ContactActivities
from activities.failures import send_failure
from activities.messages import Message, Send, SendFile, SendFlow, SendText
from activities.opt_out import OptOuts
from activities.provider import Provider
from send_whatsapp.cgb.client import Budget
from send_whatsapp.cgb.errors import CGBError, Rejected
from send_whatsapp.contract.attempts import Accepted, AttemptRecord
from send_whatsapp.contract.errors import delivery_unknown, expired, opted_out, utc
from send_whatsapp.contract.file_url import fits_type

logger = logging.getLogger(__name__)


class AttemptFailed(Exception):
    """An attempt that was not accepted: its failure, and what is known about the send after it."""

    def __init__(self, failure: ApplicationError, known: AttemptRecord) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.known = known


class Sender:
    """Sends messages. A contact that the provider no longer knows is removed from the cache."""

    def __init__(self, provider: Provider, contacts: ContactActivities, opt_outs: OptOuts) -> None:
        self._provider = provider
        self._contacts = contacts
        self._opt_outs = opt_outs

    def budget(self) -> Budget:
        """Return what the current attempt may spend on provider calls."""
        return self._provider.budget()

    async def admit(self) -> None:
        """Raise the failure of a worker whose key is refused, before it makes a call."""
        await self._provider.key_monitor.admit()

    def handle_failure(self, failure: ApplicationError) -> ApplicationError:
        """Check the key if it was refused, count a rate limit; return the failure."""
        return self._provider.handle_failure(failure)

    def check_allowed(self, send: Send, earlier: AttemptRecord) -> None:
        """Raise the failure of a send that may not be attempted (again)."""
        since = earlier.ambiguous_since
        own_run = activity.info().workflow_run_id
        if send.delivery == "at_most_once" and send.origin_run_id != own_run:
            raise delivery_unknown(
                "this run is a reset of a run that may have sent it",
                utc(activity.info().scheduled_time),
            )
        limit = send.retry.attempts if send.delivery == "at_least_once" else 1
        if since is not None and earlier.ambiguous_attempts >= limit:
            raise delivery_unknown("no attempt got a clear answer", since)
        if send.expires_at and datetime.now(UTC) >= send.expires_at:
            raise expired(since)

    def window_is_closed(self, send: Send) -> bool:
        """Return whether a send that has not begun must wait until its window opens again."""
        return send.window_closes_at is not None and datetime.now(UTC) >= send.window_closes_at

    async def check_opt_out(self, send: Send, earlier: AttemptRecord, budget: Budget) -> None:
        """Raise AttemptFailed if the person has opted out, or if that cannot be found out."""
        if send.ignore_opt_out or not self._opt_outs.respected:
            return
        try:
            reason = await self._opt_outs.reason(send.contact_id, send.may_write_at, budget)
        except CGBError as error:
            # This call sends nothing, whatever became of it.
            unsent = dataclasses.replace(error, unsent=True)
            raise self._failed(unsent, send, (), earlier) from None
        if reason is not None:
            raise AttemptFailed(opted_out(reason, earlier.ambiguous_since), earlier)

    async def attempt(self, send: Message, earlier: AttemptRecord, budget: Budget) -> Accepted:
        """Make one attempt. Raises AttemptFailed as docs/errors.md and docs/delivery.md say."""
        content, call = self._call_of(send)
        try:
            return Accepted(message_id=await call(budget), at=utc(datetime.now(UTC)))
        except CGBError as error:
            known = earlier if error.unsent else earlier.with_ambiguous(datetime.now(UTC))
            raise self._failed(error, send, content, known) from None

    def _failed(
        self, error: CGBError, send: Send, content: Iterable[str], known: AttemptRecord
    ) -> AttemptFailed:
        """Return the end of an attempt whose provider call failed."""
        if isinstance(error, Rejected):
            # The provider says in several ways that it no longer knows a contact.
            self._contacts.forget(send.contact_id)
        private = (self._provider.key, send.contact_id, *filter(_is_telling, content))
        retries = send.retry.of_activity()
        failure = send_failure(error, private, send.delivery, known, retries)
        delay = failure.next_retry_delay
        if delay and send.expires_at and datetime.now(UTC) + delay >= send.expires_at:
            return AttemptFailed(expired(known.ambiguous_since), known)
        return AttemptFailed(self._provider.handle_failure(failure), known)

    def _call_of(
        self, send: Message
    ) -> tuple[Iterable[str], Callable[[Budget], Awaitable[str | None]]]:
        """Return the content, which no failure may repeat, and the call that sends it."""
        client, contact = self._provider.client, send.contact_id
        match send:
            case SendText(text=text):
                return (text,), lambda budget: client.send_text(contact, text, budget)
            case SendFlow(flow_id=flow, variables=variables):
                return variables.values(), lambda budget: client.send_flow(
                    contact, flow, variables, budget
                )
            case SendFile(url=url, file_type=file_type):
                if not fits_type(url, file_type):
                    logger.warning("the file extension does not fit fileType %s", file_type)
                # The provider's word for a document is `file`.
                kind = "file" if file_type == "document" else file_type
                return (url,), lambda budget: client.send_file(contact, url, kind, budget)


def _is_telling(text: str) -> bool:
    # Without a word like "1" or "no" in a message, nobody could read what went wrong.
    return len(text) > 2 or not text.isascii()
