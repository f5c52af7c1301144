"""The attempts of a send: what each records for the next, and what that proves.

The record is kept as heartbeat details. An operator's reset makes attempts count from 1 again but
keeps the record (ADR 0002).
"""

import asyncio
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel
from temporalio import activity
from temporalio.client import AsyncActivityCancelledError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from activities.messages import Send
from send_whatsapp.contract.attempts import AttemptRecord, FailedAttempt
from send_whatsapp.contract.errors import FIRST_BACKOFF_S, ErrorType, FailureDetails, utc


def raise_once(failed: FailedAttempt) -> None:
    """Raise the failure of an attempt that was made elsewhere, if that has not happened yet."""
    info = activity.info()
    # The record outlives an operator's reset, after which attempts count from 1 again.
    if info.attempt == 1 and not info.heartbeat_details:
        record(failed.known)
        raise failed.failure.error()


def have_begun(send: Send) -> bool:
    """Return whether an attempt was made before this one, here or elsewhere."""
    info = activity.info()
    return info.attempt > 1 or bool(info.heartbeat_details) or send.failed_attempt is not None


def earlier_attempts(failed: FailedAttempt | None) -> AttemptRecord:
    """Return what is known from the attempts before this one; `failed` was made elsewhere.

    An attempt that was lost with its worker records nothing, and may have sent the message.
    """
    info = activity.info()
    details = info.heartbeat_details
    if details:
        record = AttemptRecord.model_validate(details[0])
    else:
        record = failed.known if failed else AttemptRecord()
    lost = max(info.attempt - 1 - record.attempt, 0)
    if lost:
        record.ambiguous_since = record.ambiguous_since or utc(info.scheduled_time)
        record.ambiguous_attempts += lost
    record.attempt = info.attempt
    return record


def record(known: AttemptRecord) -> None:
    """Record what is known after this attempt; it reaches the server with the attempt's failure."""
    activity.heartbeat(known)


async def record_call(earlier: AttemptRecord, deadline: float) -> None:
    """Record that this attempt is about to send, and wait until the server has stored that.

    Then an attempt that is lost before this record is proven unsent, and a worker that was frozen
    before it cannot send late: the server refuses the record of an attempt that has timed out.
    Raises the failure of an attempt that did not send. `deadline` is a time of the event loop.
    """
    try:
        await store_heartbeat(earlier.with_ambiguous(datetime.now(UTC)), deadline, "the attempt")
    except ApplicationError:
        record(earlier)
        raise


async def store_heartbeat(details: BaseModel, deadline: float, what: str) -> None:
    """Send a heartbeat, and wait until the server has stored it.

    Raises the failure of `not_confirmed` if it does not. `deadline` is a time of the event loop.
    """
    handle = activity.client().get_async_activity_handle(task_token=activity.info().task_token)
    try:
        async with asyncio.timeout_at(deadline):
            await handle.heartbeat(details)
    except (RPCError, AsyncActivityCancelledError, TimeoutError) as error:
        raise not_confirmed(what, error) from None


def not_confirmed(what: str, error: BaseException) -> ApplicationError:
    """Return the failure of an attempt that sends nothing because the server may not know of it."""
    detail = f"Temporal did not confirm {what} ({type(error).__name__})"
    return ApplicationError(
        f"Nothing was sent, because {detail}",
        FailureDetails(detail=detail),
        type=ErrorType.PROVIDER_UNAVAILABLE,
        next_retry_delay=timedelta(seconds=FIRST_BACKOFF_S),
    )
