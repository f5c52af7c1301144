"""The send: one activity with its guarantees, and how a run withdraws it."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception
from temporalio.workflow import ActivityCancellationType, ActivityHandle

with workflow.unsafe.imports_passed_through():
    from activities.attempts import SendStatus
    from activities.messages import Accepted, MessageActivities, SendFile, SendFlow, SendText
    from activities.preparation import Preparation
    from send_whatsapp.contract.errors import (
        RETRYABLE,
        ErrorType,
        delivery_unknown,
        expired,
        failure_details,
        utc,
    )
    from workflows.steps import SendOptions, our_failure, retry_policy

Message = SendText | SendFlow | SendFile

_LOST_ATTEMPTS = ("TemporalTimeout:StartToClose", "TemporalTimeout:Heartbeat", "WorkerShutdown")
"""Failures of an attempt that never answered; `at_most_once` allows no further attempt."""

_LOST_WORKER = "the worker was lost while it sent the message"


def is_lost_worker(error: ApplicationError) -> bool:
    """Return whether the outcome of a send is unknown because its worker stopped answering."""
    return error.type == ErrorType.DELIVERY_UNKNOWN and (
        failure_details(error).detail == _LOST_WORKER
    )


async def send(
    message: Message, summary: str, prepared: Preparation, options: SendOptions
) -> Accepted:
    """Send the message and return the provider's answer.

    Raises `CancelledError` or `Expired` only if it is proven that nothing was sent, and
    `DeliveryUnknown` if nobody can know; otherwise the activity's own failure. If the workflow is
    cancelled, the send is withdrawn, and its end is awaited.
    """
    sending = _Sending(message, summary, prepared, options)
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
    message: Message
    summary: str
    prepared: Preparation
    options: SendOptions
    cancelled: bool = False

    async def run(self) -> Accepted:
        """Send; return or raise what became of it, even if it is withdrawn meanwhile."""
        started = workflow.now()
        expires_at = self.message.expires_at
        if expires_at and started >= expires_at:
            raise expired()
        handle = self._start()
        too_late = False
        try:
            await workflow.wait_condition(
                lambda: handle.done() or self.cancelled,
                timeout=expires_at - started if expires_at else None,
            )
        except TimeoutError:
            too_late = True
        status: SendStatus = "in_flight"
        if not handle.done():
            status = await self._withdraw(handle)
        try:
            return await handle
        except ActivityError as error:
            failure, nothing_sent = _send_failure(error, status, started)
            if nothing_sent and self.cancelled:
                raise asyncio.CancelledError from None
            if nothing_sent and too_late:
                raise expired() from None
            raise failure from None

    def _start(self) -> ActivityHandle[Accepted]:
        method: Any
        match self.message:
            case SendText():
                method = MessageActivities.send_text
            case SendFlow():
                method = MessageActivities.send_flow
            case SendFile():
                method = MessageActivities.send_file
        at_most_once = self.message.delivery == "at_most_once"
        return workflow.start_activity_method(
            method,
            self.message,
            activity_id=self.options.activity_id,
            priority=self.options.priority,
            start_to_close_timeout=timedelta(seconds=self.prepared.start_to_close_s),
            retry_policy=retry_policy(self.prepared, _LOST_ATTEMPTS if at_most_once else ()),
            # A send in flight must be awaited, or the history would not show what became of it.
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=self.summary,
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


def _send_failure(
    error: ActivityError, status: SendStatus, started: datetime
) -> tuple[BaseException, bool]:
    """Return what the end of a send means for the run, and whether it is proven unsent."""
    if is_cancelled_exception(error):
        if status == "unsent":
            return error, True
        return delivery_unknown("withdrawn after an attempt without an answer", utc(started)), False
    cause = our_failure(error)
    if cause is None:
        return delivery_unknown(_LOST_WORKER, utc(started)), False
    if cause.type not in RETRYABLE:
        return cause, False
    details = failure_details(cause)
    if details.nothing_sent:
        return cause, True
    since = details.ambiguous_since or utc(started)
    return delivery_unknown(details.detail or "no clear answer", since), False
