"""How often and for how long a provider call is retried.

Temporal's retry policy sets no number of attempts; each attempt decides whether it is the last,
because that depends on what the attempts prove (docs/delivery.md, "Retries").
"""

import random
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel
from temporalio import activity

from send_whatsapp.cgb.errors import CGBError, RateLimited
from send_whatsapp.contract.errors import FIRST_BACKOFF_S, MAX_BACKOFF_S


class RetryLimits(BaseModel):
    """A call is retried until both are used up: the attempts and the time.

    The time are `retry_for_s` seconds since its activity was scheduled.
    """

    attempts: int
    retry_for_s: float

    @property
    def until(self) -> datetime:
        """The time (UTC) until when the call of the current activity is retried."""
        return activity.info().scheduled_time + timedelta(seconds=self.retry_for_s)

    def delay(self, error: CGBError, attempt: int) -> float | None:
        """Return the seconds to wait after this attempt (1, 2, ...); None if it is the last."""
        seconds = backoff(attempt, error)
        in_time = datetime.now(UTC) + timedelta(seconds=seconds) <= self.until
        return seconds if attempt < self.attempts or in_time else None

    def used_up(self, attempt: int) -> bool:
        """Return whether this attempt comes after the last, because earlier ones were lost."""
        return attempt > self.attempts and datetime.now(UTC) > self.until


def backoff(attempt: int, error: CGBError) -> float:
    """Return the seconds between this attempt (1, 2, ...) and the next.

    1 s, doubled each time, at most 60 s. After a rate limit without `Retry-After` the wait is a
    random part of a minute, because such limits count by the minute. `Retry-After` never shortens
    the wait.
    """
    seconds = min(FIRST_BACKOFF_S * 2.0 ** min(attempt - 1, 10), MAX_BACKOFF_S)
    if error.retry_after is not None:
        return max(seconds, error.retry_after)
    if isinstance(error, RateLimited):
        window = min(20.0 * 2.0 ** min(attempt - 1, 10), MAX_BACKOFF_S)
        return max(seconds, window * random.uniform(0.5, 1.0))
    return seconds
