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
    from activities.attempts import AttemptRecord
    from activities.messages import Accepted, MessageActivities, Send
    from activities.preparation import Preparation
    from activities.withdrawal import SendStatus
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
    from workflows.steps import SendOptions, our_failure, retry_policy

CLOSES_WITHIN = timedelta(seconds=5)
"""After its timeouts, the time that an attempt in flight gets to end once its send is withdrawn."""

_LOST_ATTEMPTS = ("TemporalTimeout:StartToClose", "TemporalTimeout:Heartbeat", "WorkerShutdown")
"""Failures of an attempt that never answered; `at_most_once` allows no further attempt."""

_LOST_WORKER = "the worker was lost while it sent the message"


def is_lost_worker(error: ApplicationError) -> bool:
    """Return whether the outcome of a send is unknown because its worker stopped answering."""
    return error.type == ErrorType.DELIVERY_UNKNOWN and (
        failure_details(error).detail == _LOST_WORKER
    )


@dataclass(frozen=True)
class OutgoingMessage:
    """A message to send: the activity that sends it with its input, what it is, and a summary."""

    activity: Callable[[MessageActivities, Any], Awaitable[Accepted]]
    input: Send
    kind: SentAs
    summary: str


async def send(message: OutgoingMessage, prepared: Preparation, options: SendOptions) -> Accepted:
    """Send the message and return the provider's answer.

    Raises `CancelledError` or `Expired` only if it is proven that nothing was sent, and
    `DeliveryUnknown` if nobody can know; otherwise the activity's own failure. If the workflow is
    cancelled, the send is withdrawn, and its end is awaited for a bounded time.
    """
    sending = _Sending(message, prepared, options)
    task = asyncio.create_task(sending.run())
    while True:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.done():
                # If the send ends at the moment of the cancellation, its own end counts.
                return task.result()
            sending.cancelled = True


@dataclass
class _Sending:
    message: OutgoingMessage
    prepared: Preparation
    options: SendOptions
    cancelled: bool = False
    expired: bool = False

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
        handle = self._start()
        await self._until_done_or_withdrawn(handle)
        status: SendStatus = "in_flight"
        if not handle.done():
            status = await self._withdraw(handle)
            try:
                await workflow.wait_condition(handle.done, timeout=self._attempt_timeout)
            except builtins.TimeoutError:
                # The server ignores the timeouts of a send that an operator has paused.
                raise delivery_unknown(_LOST_WORKER, utc(started)) from None
        try:
            return await handle
        except ActivityError as error:
            end = _end_of(error, status, self.message.input, started)
            if end.nothing_sent and self.cancelled:
                raise asyncio.CancelledError from None
            if end.nothing_sent and self.expired:
                raise expired() from None
            raise end.error from None

    @property
    def _attempt_timeout(self) -> timedelta:
        return timedelta(seconds=self.prepared.start_to_close_s) + CLOSES_WITHIN

    def _seconds_left(self) -> float | None:
        expires_at = self.message.input.expires_at
        if expires_at is None:
            return None
        return max((expires_at - workflow.now()).total_seconds(), 0)

    async def _until_done_or_withdrawn(self, handle: ActivityHandle[Accepted]) -> None:
        """Wait for the end of the send, a cancellation or `expiresAt`.

        Meanwhile makes the server end an attempt that has outlived its timeout: a send that was
        paused when its worker died would otherwise stay open after it is resumed.
        """
        while True:
            wait = self._attempt_timeout.total_seconds()
            left = self._seconds_left()
            try:
                await workflow.wait_condition(
                    lambda: handle.done() or self.cancelled,
                    timeout=wait if left is None else min(left, wait),
                )
                return
            except builtins.TimeoutError:
                self.expired = self._seconds_left() == 0
                if self.expired:
                    return
                await self._end_overdue_attempt()

    def _start(self) -> ActivityHandle[Accepted]:
        at_most_once = self.message.input.delivery == "at_most_once"
        return workflow.start_activity_method(
            self.message.activity,
            self.message.input,
            activity_id=self.options.activity_id,
            priority=self.options.priority,
            start_to_close_timeout=timedelta(seconds=self.prepared.start_to_close_s),
            retry_policy=retry_policy(self.prepared.retry, _LOST_ATTEMPTS if at_most_once else ()),
            # A send in flight must be awaited, or the history would not show its outcome.
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=self.message.summary,
        )

    async def _withdraw(self, handle: ActivityHandle[Accepted]) -> SendStatus:
        """Let no further attempt start; return the status of the send before its cancellation.

        The server ends a send that waits between two attempts as cancelled and forgets what its
        attempts recorded. So that is read first, from a send whose attempts are stopped.
        """
        try:
            status = await workflow.execute_local_activity_method(
                MessageActivities.stop_retries,
                self.options.activity_id,
                start_to_close_timeout=timedelta(seconds=10),
                retry_policy=RetryPolicy(maximum_attempts=3),
                summary="Stop further attempts of the send",
            )
        except (ActivityError, ApplicationError):
            status = "maybe_sent"
        handle.cancel()
        return status

    async def _end_overdue_attempt(self) -> None:
        try:
            await workflow.execute_local_activity_method(
                MessageActivities.end_overdue_attempt,
                args=[self.options.activity_id, self.prepared.start_to_close_s],
                start_to_close_timeout=timedelta(seconds=10),
                retry_policy=RetryPolicy(maximum_attempts=1),
                summary="End the attempt if its worker was lost",
            )
        except (ActivityError, ApplicationError):
            workflow.logger.warning("could not check whether an attempt was lost")


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
    return _End(delivery_unknown(_LOST_WORKER, utc(started)), nothing_sent=False)
