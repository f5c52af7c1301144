"""The steps a workflow takes outside itself: each activity with its policy and its summary."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import Priority, RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception
from temporalio.workflow import ActivityCancellationType, ActivityHandle

with workflow.unsafe.imports_passed_through():
    from activities.attempts import SendStatus
    from activities.contacts import Contact, ContactActivities, Resolution, ResolveContact
    from activities.flows import FlowActivities, FlowMatch
    from activities.messages import Accepted, MessageActivities, SendFile, SendFlow, SendText
    from activities.preparation import (
        Preparation,
        PreparationActivities,
        Prepare,
        PreparedRows,
        PrepareRows,
    )
    from send_whatsapp.contract.errors import (
        FIRST_BACKOFF_S,
        MAX_BACKOFF_S,
        RETRYABLE,
        ErrorType,
        FailureDetails,
        delivery_unknown,
        expired,
        failure,
        utc,
    )
    from send_whatsapp.contract.names import SEND_ACTIVITY_ID

_NEVER_AGAIN = ("TemporalTimeout:StartToClose", "TemporalTimeout:Heartbeat", "WorkerShutdown")
"""Failures of an attempt that nobody heard from; `at_most_once` allows no other after them."""

_OURS = frozenset(ErrorType)

_LOST_WORKER = "the worker was lost while it sent"


def is_lost_worker(error: ApplicationError) -> bool:
    """Return whether a send has no outcome because its worker fell silent."""
    told = error.details[0] if error.details else None
    return isinstance(told, FailureDetails) and told.detail == _LOST_WORKER


async def prepare(to: str, template: str | None, *, look_up: bool = False) -> Preparation:
    """Return what a worker knows or may quickly look up, and the settings this run keeps."""
    return await workflow.execute_local_activity_method(
        PreparationActivities.prepare,
        Prepare(to=to, template=template, look_up=look_up),
        start_to_close_timeout=timedelta(seconds=10),
        retry_policy=RetryPolicy(maximum_attempts=5),
        summary="Look up the contact" if look_up else "Read the number, the cache, the settings",
    )


async def prepare_rows(numbers: list[str]) -> PreparedRows:
    """Return the same for many rows at once, with the contacts that could be resolved."""
    return await workflow.execute_local_activity_method(
        PreparationActivities.prepare_rows,
        PrepareRows(to=numbers),
        start_to_close_timeout=timedelta(minutes=15),
        retry_policy=RetryPolicy(maximum_attempts=5),
        summary=f"Read {len(numbers):,} numbers and resolve their contacts",
    )


SINGLE_PRIORITY = Priority(priority_key=2)


@dataclass(frozen=True)
class SendOptions:
    """How a message's activities run: the id of its send, and their place in the queue."""

    activity_id: str = SEND_ACTIVITY_ID
    priority: Priority = SINGLE_PRIORITY


SINGLE = SendOptions()


async def resolve_contact(to: str, prepared: Preparation, options: SendOptions) -> Contact:
    """Return the contact; raise the activity's own failure."""
    resolution = Resolution(contact=prepared.contact)
    while resolution.contact is None:
        try:
            resolution = await workflow.execute_activity_method(
                ContactActivities.resolve_contact,
                ResolveContact(to=to, step=resolution.next_step),
                start_to_close_timeout=timedelta(seconds=prepared.start_to_close_s),
                retry_policy=_retry_policy(prepared),
                priority=options.priority,
                summary="Resolve the contact",
            )
        except ActivityError as error:
            raise _lookup_ended(error) from None
    return resolution.contact


async def find_flow(
    template: str | None, prepared: Preparation, options: SendOptions
) -> FlowMatch | None:
    """Return the flow of a template, or why there is none; None without a template."""
    if template is None or prepared.flow:
        return prepared.flow
    try:
        return await workflow.execute_activity_method(
            FlowActivities.find_flow,
            template,
            start_to_close_timeout=timedelta(seconds=prepared.start_to_close_s),
            retry_policy=_retry_policy(prepared),
            priority=options.priority,
            summary=f"Look up template {shown(template)}",
        )
    except ActivityError as error:
        raise _lookup_ended(error) from None


async def send(
    message: SendText | SendFlow | SendFile,
    summary: str,
    prepared: Preparation,
    options: SendOptions,
) -> Accepted:
    """Send, and return the provider's yes.

    Raises `CancelledError` or `Expired` only where it is proven that nothing was sent, and
    `DeliveryUnknown` where nobody can know; else the activity's own failure. A cancellation of the
    workflow withdraws the send, and then waits for what became of it.
    """
    sending = _Sending(message, summary, prepared, options)
    task = asyncio.create_task(sending.to_its_end())
    while True:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.done():
                # What became of the send counts, also where both come at once.
                return task.result()
            sending.cancelled = True


def shown(name: str) -> str:
    """Return a template's name, short enough for a summary."""
    return name if len(name) <= 60 else name[:59] + "…"


@dataclass
class _Sending:
    message: SendText | SendFlow | SendFile
    summary: str
    prepared: Preparation
    options: SendOptions
    cancelled: bool = False

    async def to_its_end(self) -> Accepted:
        """Return or raise what became of the send, whatever is asked of it in between."""
        began = workflow.now()
        expires_at = self.message.expires_at
        if expires_at and began >= expires_at:
            raise expired()
        handle = self._start()
        too_late = False
        try:
            await workflow.wait_condition(
                lambda: handle.done() or self.cancelled,
                timeout=expires_at - began if expires_at else None,
            )
        except TimeoutError:
            too_late = True
        standing: SendStatus = "in_flight"
        if not handle.done():
            standing = await self._withdraw(handle)
        try:
            return await handle
        except ActivityError as error:
            failed, nothing_sent = _send_ended(error, standing, began)
            if nothing_sent and self.cancelled:
                raise asyncio.CancelledError from None
            if nothing_sent and too_late:
                raise expired() from None
            raise failed from None

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
            retry_policy=_retry_policy(self.prepared, _NEVER_AGAIN if at_most_once else ()),
            # The truth of the history depends on it: a send in flight is waited for.
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=self.summary,
        )

    async def _withdraw(self, handle: ActivityHandle[Accepted]) -> SendStatus:
        """Ask for no further attempt; return how the send stood before.

        The server ends a send that waits between two attempts as cancelled and forgets what the
        attempts before had said, so that is asked first, of a send that is held.
        """
        try:
            standing = await workflow.execute_local_activity_method(
                MessageActivities.stop_retries,
                self.options.activity_id,
                start_to_close_timeout=timedelta(seconds=10),
                retry_policy=RetryPolicy(maximum_attempts=3),
                summary="See how the send stands",
            )
        except (ActivityError, ApplicationError):
            standing = "maybe_sent"
        handle.cancel()
        return standing


def _retry_policy(prepared: Preparation, non_retryable: tuple[str, ...] = ()) -> RetryPolicy:
    return RetryPolicy(
        initial_interval=timedelta(seconds=FIRST_BACKOFF_S),
        backoff_coefficient=2.0,
        maximum_interval=timedelta(seconds=MAX_BACKOFF_S),
        maximum_attempts=prepared.attempts,
        non_retryable_error_types=list(non_retryable) or None,
    )


def _lookup_ended(error: ActivityError) -> BaseException:
    """Return what a lookup's end means for the run: the activity's cause, never the wrapper."""
    cause = error.cause
    if is_cancelled_exception(error):
        return asyncio.CancelledError()
    if isinstance(cause, ApplicationError) and cause.type in _OURS:
        return cause
    return failure(
        ErrorType.PROVIDER_UNAVAILABLE,
        "The worker was lost while it looked up the contact or the template, nothing was sent:"
        " check the workers, then send again",
        FailureDetails(),
    )


def _send_ended(
    error: ActivityError, standing: SendStatus, began: datetime
) -> tuple[BaseException, bool]:
    """Return what a send's end means for the run, and whether it is proven unsent."""
    cause = error.cause
    if is_cancelled_exception(error):
        if standing == "unsent":
            return error, True
        return delivery_unknown("withdrawn after an attempt without an answer", utc(began)), False
    if not isinstance(cause, ApplicationError) or cause.type not in _OURS:
        return delivery_unknown(_LOST_WORKER, utc(began)), False
    if cause.type not in RETRYABLE:
        return cause, False
    told = FailureDetails.model_validate(cause.details[0] if cause.details else {})
    if told.nothing_sent:
        return cause, True
    since = told.ambiguous_since or utc(began)
    return delivery_unknown(told.detail or "no clear answer", since), False
