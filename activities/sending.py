"""The activities that send one message, and that withdraw it."""

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities import attempts, withdrawal
from activities.failures import map_unexpected_errors
from activities.messages import Message, SendFile, SendFlow, SendText
from activities.sender import AttemptFailed, Sender
from activities.turns import Turns
from activities.withdrawal import SendStatus
from send_whatsapp.contract.attempts import Accepted, window_closed


class SendActivities:
    """Sends one message per activity, with the guarantees of `delivery` (docs/delivery.md)."""

    def __init__(self, sender: Sender, turns: Turns) -> None:
        self._sender = sender
        self._turns = turns

    @activity.defn
    async def send_text(self, send: SendText) -> Accepted:
        """Send a text. Raises the failures of docs/errors.md, as docs/delivery.md explains."""
        return await self._attempt(send)

    @activity.defn
    async def send_flow(self, send: SendFlow) -> Accepted:
        """Set the variables and send the flow, in one call. Fails like `send_text`."""
        return await self._attempt(send)

    @activity.defn
    async def send_file(self, send: SendFile) -> Accepted:
        """Send a file. Fails like `send_text`."""
        return await self._attempt(send)

    @activity.defn
    async def stop_retries(self, activity_id: str) -> SendStatus:
        """Let no further attempt of the run's own send start; return the status of the send."""
        return await withdrawal.stop_retries(activity_id)

    @activity.defn
    async def end_overdue_attempts(self) -> None:
        """End attempts of the run's activities that have outlived their timeout."""
        await withdrawal.end_overdue_attempts()

    async def _attempt(self, send: Message) -> Accepted:
        with self._turns.ending(send.turn), map_unexpected_errors(sending=True):
            if send.failed_attempt:
                attempts.raise_once(send.failed_attempt)
            earlier = attempts.earlier_attempts(send.failed_attempt)
            self._sender.check_allowed(send, earlier)
            # What began in its send window may be tried again after it.
            if not attempts.have_begun(send) and self._sender.window_is_closed(send):
                raise window_closed()
            try:
                await self._sender.admit()
                await self._turns.confirm(send.turn)
            except ApplicationError:
                attempts.record(earlier)
                raise
            budget = self._sender.budget()
            try:
                await self._sender.check_opt_out(send, earlier, budget)
                if send.delivery == "at_most_once":
                    await attempts.record_call(earlier, budget.deadline)
                return await self._sender.attempt(send, earlier, budget)
            except AttemptFailed as failed:
                attempts.record(failed.known)
                raise failed.failure from None
