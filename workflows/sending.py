"""The send: one activity with its guarantees, how a run withdraws it, and what its end means."""

import asyncio
import builtins
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception
from temporalio.exceptions import TimeoutError as AttemptTimedOut
from temporalio.workflow import ActivityCancellationType, ActivityHandle

with workflow.unsafe.imports_passed_through():
    from activities.messages import Message, Send
    from activities.preparation import Preparation
    from activities.sending import SendActivities
    from activities.withdrawal import SendStatus
    from send_whatsapp.contract.attempts import Accepted, AttemptRecord
    from send_whatsapp.contract.errors import (
        RETRYABLE,
        ErrorType,
        FailureDetails,
        delivery_unknown,
        expired,
        failure,
        failure_details,
        utc,
    )
    from send_whatsapp.contract.result import SentAs
    from workflows.cancellation import finish
    from workflows.lost_attempts import (
        LOST_ATTEMPTS,
        LOST_WORKER,
        attempt_timeout,
        current_task,
        end_overdue_attempts,
    )
    from workflows.send_windows import WindowClosed, is_window_closed
    from workflows.steps import SendOptions, our_failure, retry_policy


def is_lost_worker(error: ApplicationError) -> bool:
    """Return whether the outcome of a send is unknown because its worker stopped answering."""
    return error.type == ErrorType.DELIVERY_UNKNOWN and (
        failure_details(error).detail == LOST_WORKER
    )


@dataclass(frozen=True)
class OutgoingMessage:
    """A message to send: the activity that sends it with its input, what it is, and a summary."""

    activity: Callable[[SendActivities, Any], Awaitable[Accepted]]
    input: Message
    kind: SentAs
    summary: str


async def send(message: OutgoingMessage, prepared: Preparation, options: SendOptions) -> Accepted:
    """Send the message and return the provider's answer.

    Raises `CancelledError` or `Expired` only if it is proven that nothing was sent, and
    `DeliveryUnknown` if nobody can know, and `WindowClosed` if the send did not begin in its
    window; otherwise the activity's own failure. If the workflow is
    cancelled, the send is withdrawn, and its end is awaited for a bounded time.
    """
    sending = _Sending(message, prepared, options)
    return await finish(sending.run(), sending.cancel)


@dataclass
class _Sending:
    message: OutgoingMessage
    prepared: Preparation
    options: SendOptions
    cancelled: bool = False
    expired: bool = False

    def cancel(self) -> None:
        """Withdraw the send."""
        self.cancelled = True

    async def run(self) -> Accepted:
        """Send; return the answer or raise the failure, also after a cancellation.

        An attempt that was lost before it called the provider is proven unsent. Its activity has
        ended under `at_most_once`, so another one is started.
        """
        started = workflow.now()
        if self._seconds_left() == 0:
            raise expired()
        for _ in range(self.prepared.retry.attempts):
            try:
                return await self._send_once(started)
            except _LostBeforeCall:
                continue
        raise failure(
            ErrorType.PROVIDER_UNAVAILABLE,
            "Nothing was sent, because each worker was lost before it sent the message: check the"
            " workers, then send again",
            FailureDetails(),
        )

    async def _send_once(self, started: datetime) -> Accepted:
        handle, task = self._start(), current_task()
        await self._until_done_or_withdrawn(handle)
        status: SendStatus = "in_flight"
        if not handle.done():
            # The server does not know of the send yet if it was started in this workflow task.
            status = "unsent" if current_task() == task else await self._stop_retries()
            handle.cancel()
            try:
                await workflow.wait_condition(handle.done, timeout=attempt_timeout(self.prepared))
            except builtins.TimeoutError:
                # The server ignores the timeouts of a send that an operator has paused.
                raise delivery_unknown(LOST_WORKER, utc(started)) from None
        try:
            return await handle
        except ActivityError as error:
            window_closes_at = self.message.input.window_closes_at
            if window_closes_at and is_window_closed(error):
                if self.cancelled:
                    raise asyncio.CancelledError from None
                if self.expired:
                    raise expired() from None
                raise WindowClosed(window_closes_at) from None
            end = _end_of(error, status, self.message.input, started)
            if end.nothing_sent and self.cancelled:
                raise asyncio.CancelledError from None
            if end.nothing_sent and self.expired:
                raise expired() from None
            raise end.error from None

    def _seconds_left(self) -> float | None:
        expires_at = self.message.input.expires_at
        if expires_at is None:
            return None
        return max((expires_at - workflow.now()).total_seconds(), 0)

    async def _until_done_or_withdrawn(self, handle: ActivityHandle[Accepted]) -> None:
        """Wait for the end of the send, a cancellation or `expiresAt`."""
        watching = None
        if self.options.watched:
            watch = end_overdue_attempts(
                self.prepared, lambda: handle.done() or self.cancelled or self.expired
            )
            watching = asyncio.create_task(watch)
        try:
            await workflow.wait_condition(
                lambda: handle.done() or self.cancelled, timeout=self._seconds_left()
            )
        except builtins.TimeoutError:
            self.expired = True
        if watching:
            await watching

    def _start(self) -> ActivityHandle[Accepted]:
        at_most_once = self.message.input.delivery == "at_most_once"
        return workflow.start_activity_method(
            self.message.activity,
            self.message.input,
            activity_id=self.options.activity_id,
            priority=self.options.priority,
            start_to_close_timeout=timedelta(seconds=self.prepared.start_to_close_s),
            retry_policy=retry_policy(self.prepared.retry, LOST_ATTEMPTS if at_most_once else ()),
            # A send in flight must be awaited, or the history would not show its outcome.
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=self.message.summary,
        )

    async def _stop_retries(self) -> SendStatus:
        """Let no further attempt start; return the status of the send before its cancellation.

        The server ends a send that waits between two attempts as cancelled and forgets what its
        attempts recorded. So that is read first, from a send whose attempts are stopped.
        """
        try:
            return await workflow.execute_local_activity_method(
                SendActivities.stop_retries,
                self.options.activity_id,
                start_to_close_timeout=timedelta(seconds=10),
                retry_policy=RetryPolicy(maximum_attempts=3),
                summary="Stop further attempts of the send",
            )
        except (ActivityError, ApplicationError):
            return "maybe_sent"


class _LostBeforeCall(Exception):
    """The worker was lost before it called the provider."""


@dataclass
class _End:
    """What the end of a send means for the run.

    `nothing_sent`: it is proven that nothing was sent, and only the withdrawal ended the send.
    """

    error: BaseException
    nothing_sent: bool


def _end_of(error: ActivityError, status: SendStatus, message: Send, started: datetime) -> _End:
    if is_cancelled_exception(error):
        if status == "unsent":
            return _End(error, nothing_sent=True)
        why = "withdrawn after an attempt without an answer"
        return _End(delivery_unknown(why, utc(started)), nothing_sent=False)
    cause = our_failure(error)
    if cause is not None:
        if cause.type not in RETRYABLE:
            # A refusal for good counts, even if the send was withdrawn at the same moment.
            return _End(cause, nothing_sent=False)
        details = failure_details(cause)
        if details.nothing_sent:
            return _End(cause, nothing_sent=True)
        since = details.ambiguous_since or utc(started)
        unknown = delivery_unknown(details.detail or "no clear answer", since)
        return _End(unknown, nothing_sent=False)
    if message.delivery == "at_most_once" and isinstance(error.cause, AttemptTimedOut):
        # Under `at_most_once` each attempt records its call before it makes it.
        record = error.cause.last_heartbeat_details
        if not record or AttemptRecord.model_validate(record[0]).ambiguous_since is None:
            return _End(_LostBeforeCall(), nothing_sent=True)
    return _End(delivery_unknown(LOST_WORKER, utc(started)), nothing_sent=False)
