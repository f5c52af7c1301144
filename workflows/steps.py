"""The steps before the send: each activity with its timeouts, retry policy and summary."""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.common import Priority, RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.contacts import Contact, ContactActivities, Resolution, ResolveContact
    from activities.flows import FindFlow, FlowActivities
    from activities.preparation import (
        Preparation,
        PreparationActivities,
        Prepare,
        RunSettings,
    )
    from activities.retries import RetryLimits
    from send_whatsapp.contract.errors import (
        FIRST_BACKOFF_S,
        MAX_BACKOFF_S,
        ErrorType,
        FailureDetails,
        expired,
        failure,
    )
    from send_whatsapp.contract.names import SEND_ACTIVITY_ID
    from send_whatsapp.contract.send_window import SendWindow
    from send_whatsapp.contract.templates import FlowMatch
    from send_whatsapp.contract.turns import Ticket

T = TypeVar("T")

_OUR_TYPES = frozenset(ErrorType)


@dataclass(frozen=True)
class SendOptions:
    """The activity id of a send, and the priority of its activities in the task queue.

    `watched`: the send itself watches for lost attempts, not its run (workflows/lost_attempts.py).
    """

    activity_id: str
    priority: Priority
    watched: bool = True


SINGLE_SEND = SendOptions(SEND_ACTIVITY_ID, Priority(priority_key=2))


async def read_settings(templates: Sequence[str] = ()) -> RunSettings:
    """Return the settings of this run, which sends these templates."""
    return await workflow.execute_local_activity_method(
        PreparationActivities.read_settings,
        list(templates),
        start_to_close_timeout=timedelta(seconds=10),
        retry_policy=RetryPolicy(maximum_attempts=5),
        summary="Read the settings",
    )


async def prepare(
    to: str,
    template: str | None,
    variables: Iterable[str],
    *,
    look_up: bool = False,
    ticket: Ticket | None = None,
    window: SendWindow | None = None,
    at: datetime | None = None,
) -> Preparation:
    """Return what a worker knows or may quickly look up, and the settings of this run.

    With a `ticket` also its place among those who ask for a turn. With a `window` also when it is
    open, or opens next after the time `at`; while it is closed, nothing else is looked up.
    """
    request = Prepare(
        to=to,
        template=template,
        variables=list(variables),
        look_up=look_up,
        ticket=ticket,
        window=window,
        at=at,
    )
    return await workflow.execute_local_activity_method(
        PreparationActivities.prepare,
        request,
        start_to_close_timeout=timedelta(seconds=10),
        retry_policy=RetryPolicy(maximum_attempts=5),
        summary="Look up the contact" if look_up else "Read the number, the cache, the settings",
    )


async def resolve_contact(to: str, prepared: Preparation, options: SendOptions) -> Contact:
    """Return the contact; raise the activity's own failure."""
    request = ResolveContact(to=to, retry=prepared.retry, failed_lookup=prepared.failed_lookup)
    resolution = Resolution(contact=prepared.contact)
    while resolution.contact is None:
        try:
            resolution = await workflow.execute_activity_method(
                ContactActivities.resolve_contact,
                request,
                start_to_close_timeout=timedelta(seconds=prepared.start_to_close_s),
                retry_policy=retry_policy(prepared.retry),
                priority=options.priority,
                summary="Resolve the contact",
            )
        except ActivityError as error:
            raise _lookup_failure(error) from None
        request = ResolveContact(to=to, retry=prepared.retry, step=resolution.next_step)
    return resolution.contact


async def find_flow(
    template: str | None, prepared: Preparation, options: SendOptions
) -> FlowMatch | None:
    """Return the flow of a template, or why no flow matches; None without a template."""
    if template is None or prepared.flow:
        return prepared.flow
    return await look_up_flow(template, prepared, options)


async def look_up_flow(template: str, settings: RunSettings, options: SendOptions) -> FlowMatch:
    """Return the flow of a template, or why no flow matches; raise the activity's own failure."""
    try:
        return await workflow.execute_activity_method(
            FlowActivities.find_flow,
            FindFlow(template=template, retry=settings.retry),
            start_to_close_timeout=timedelta(seconds=settings.start_to_close_s),
            retry_policy=retry_policy(settings.retry),
            priority=options.priority,
            summary=f"Look up template {shortened(template)}",
        )
    except ActivityError as error:
        raise _lookup_failure(error) from None


async def until_expiry(expires_at: datetime | None, work: Awaitable[T]) -> T:
    """Return what the work returns; fail as `Expired` if it takes longer than `expires_at`."""
    if expires_at is None:
        return await work
    try:
        seconds = max((expires_at - workflow.now()).total_seconds(), 0)
        return await asyncio.wait_for(work, seconds)
    except TimeoutError:
        raise expired() from None


def shortened(name: str) -> str:
    """Return a template name, cut to fit a summary."""
    return name if len(name) <= 60 else name[:59] + "…"


def retry_policy(retry: RetryLimits, non_retryable: tuple[str, ...] = ()) -> RetryPolicy:
    """Return the retry policy of a provider call, with further failures that end it.

    If the time counts too, each attempt decides whether it is the last (activities/retries.py).
    """
    return RetryPolicy(
        initial_interval=timedelta(seconds=FIRST_BACKOFF_S),
        backoff_coefficient=2.0,
        maximum_interval=timedelta(seconds=MAX_BACKOFF_S),
        maximum_attempts=0 if retry.retry_for_s else retry.attempts,
        non_retryable_error_types=list(non_retryable) or None,
    )


def our_failure(error: ActivityError) -> ApplicationError | None:
    """Return the failure that our activity raised; None for a timeout, for example."""
    cause = error.cause
    return cause if isinstance(cause, ApplicationError) and cause.type in _OUR_TYPES else None


def _lookup_failure(error: ActivityError) -> BaseException:
    """Return what the end of a lookup means for the run."""
    if is_cancelled_exception(error):
        return asyncio.CancelledError()
    return our_failure(error) or failure(
        ErrorType.PROVIDER_UNAVAILABLE,
        "Nothing was sent, because the worker was lost during the lookup of the contact or the"
        " template: check the workers, then send again",
        FailureDetails(),
    )
