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

from send_whatsapp.contract.errors import FIRST_BACKOFF_S, ErrorType, FailureDetails, utc


class AttemptRecord(BaseModel):
    """What is known after (or during) an attempt.

    `ambiguous_since` is the time (UTC) since when the message may have been sent, None if it is
    proven unsent. `ambiguous_attempts` counts the attempts that may have sent it.
    """

    attempt: int = 0
    ambiguous_since: str | None = None
    ambiguous_attempts: int = 0

    def with_ambiguous(self, since: datetime) -> "AttemptRecord":
        """Return the record with one more attempt that may have sent the message."""
        return AttemptRecord(
            attempt=self.attempt,
            ambiguous_since=self.ambiguous_since or utc(since),
            ambiguous_attempts=self.ambiguous_attempts + 1,
        )


def earlier_attempts() -> AttemptRecord:
    """Return what is known from the attempts before this one.

    An attempt that was lost with its worker records nothing, and may have sent the message.
    """
    info = activity.info()
    details = info.heartbeat_details
    record = AttemptRecord.model_validate(details[0]) if details else AttemptRecord()
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
    handle = activity.client().get_async_activity_handle(task_token=activity.info().task_token)
    try:
        async with asyncio.timeout_at(deadline):
            await handle.heartbeat(earlier.with_ambiguous(datetime.now(UTC)))
    except (RPCError, AsyncActivityCancelledError, TimeoutError) as error:
        record(earlier)
        detail = f"Temporal did not confirm the attempt ({type(error).__name__})"
        raise ApplicationError(
            f"Nothing was sent, because {detail}",
            FailureDetails(detail=detail),
            type=ErrorType.PROVIDER_UNAVAILABLE,
            next_retry_delay=timedelta(seconds=FIRST_BACKOFF_S),
        ) from None
