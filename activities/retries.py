"""How often and for how long a provider call is retried.

Temporal's retry policy sets no number of attempts; each attempt decides whether it is the last,
because that depends on what the attempts prove (docs/errors.md, "Retries").
"""

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel
from temporalio import activity

from send_whatsapp.cgb.errors import CGBError, RateLimited
from send_whatsapp.contract.errors import FIRST_BACKOFF_S, MAX_BACKOFF_S


class RetryLimits(BaseModel):
    """The settings: a call is retried until both the attempts and the seconds are used up."""

    attempts: int
    retry_for_s: float

    def of_activity(self) -> "Retries":
        """Return the retries of the current activity, seen from its current attempt."""
        info = activity.info()
        until = info.scheduled_time + timedelta(seconds=self.retry_for_s)
        return Retries(info.attempt, self.attempts, until)


@dataclass(frozen=True)
class Retries:
    """The retries of one activity, seen from one `attempt` (1, 2, ...).

    It makes `attempts` at least, and more until the time `until`.
    """

    attempt: int
    attempts: int
    until: datetime

    def delay(self, error: CGBError) -> float | None:
        """Return the seconds until the next attempt; None if this one is the last."""
        seconds = backoff(self.attempt, error)
        in_time = datetime.now(UTC) + timedelta(seconds=seconds) <= self.until
        return seconds if self.attempt < self.attempts or in_time else None

    @property
    def used_up(self) -> bool:
        """Whether this attempt comes after the last one, because earlier ones were lost."""
        return self.attempt > self.attempts and datetime.now(UTC) > self.until


def backoff(attempt: int, error: CGBError) -> float:
    """Return the seconds between this attempt (1, 2, ...) and the next.

    1 s, doubled each time, at most 60 s, or `Retry-After` if that is longer. After a rate limit
    without `Retry-After` at least a random part of a minute, because such limits count by the
    minute.
    """
    seconds = min(FIRST_BACKOFF_S * 2.0 ** min(attempt - 1, 10), MAX_BACKOFF_S)
    if error.retry_after is not None:
        return max(seconds, error.retry_after)
    if isinstance(error, RateLimited):
        window = min(20.0 * 2.0 ** min(attempt - 1, 10), MAX_BACKOFF_S)
        return max(seconds, window * random.uniform(0.5, 1.0))
    return seconds
