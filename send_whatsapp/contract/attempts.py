"""How attempts end, as activities return, record and report it; histories keep these words."""

from datetime import datetime, timedelta
from typing import Self

from pydantic import BaseModel
from temporalio.exceptions import ApplicationError

from send_whatsapp.contract.errors import FailureDetails, failure_details, utc


class Accepted(BaseModel):
    """The provider accepted the message at this time (UTC, ISO 8601).

    `message_id` is null unless the provider returned one, which it hardly ever does.
    """

    message_id: str | None = None
    at: str


class AttemptFailure(BaseModel):
    """The failure of a call that was made before its activity started.

    The activity raises it as its first attempt: operators see it, and it counts as an attempt.
    """

    type: str
    message: str
    details: FailureDetails
    retry_delay_s: float | None

    @classmethod
    def of(cls, error: ApplicationError) -> Self:
        """Return a failure as data."""
        delay = error.next_retry_delay
        return cls(
            type=error.type or "",
            message=error.message,
            details=failure_details(error),
            retry_delay_s=delay.total_seconds() if delay else None,
        )

    def error(self) -> ApplicationError:
        """Return the failure as an exception."""
        delay = self.retry_delay_s
        return ApplicationError(
            self.message,
            self.details,
            type=self.type,
            non_retryable=delay is None,
            next_retry_delay=None if delay is None else timedelta(seconds=delay),
        )


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


class FailedAttempt(BaseModel):
    """An attempt that was made before its activity started, and what is known after it.

    Its activity raises the failure as its first attempt, and makes no call in it.
    """

    failure: AttemptFailure
    known: AttemptRecord


class RowEnd(BaseModel):
    """How the first attempt of a row ended: accepted, failed at its lookup, or failed to send.

    Without any of the three the row did not start, with `window_closed` because its send window has
    closed. A failure with a retry delay wants another attempt. `to` is the number in E.164,
    `contact_id` the recipient, as far as they are known; `failed_at` is the time of the failure
    (UTC, ISO 8601).
    """

    row: int
    to: str | None = None
    contact_id: str | None = None
    accepted: Accepted | None = None
    failed_lookup: AttemptFailure | None = None
    failed_send: FailedAttempt | None = None
    failed_at: str | None = None
    window_closed: bool = False

    @property
    def failure(self) -> AttemptFailure | None:
        """The failure of the attempt, if it failed."""
        return self.failed_lookup or (self.failed_send.failure if self.failed_send else None)


WINDOW_CLOSED = "WindowClosed"
"""Type of the failure of a send whose send window closed before its first attempt."""


def window_closed() -> ApplicationError:
    """Return the failure of a send that must wait until its send window opens again."""
    return ApplicationError(
        "Nothing was sent, because the send window has closed; the run sends when it opens again",
        FailureDetails(),
        type=WINDOW_CLOSED,
        non_retryable=True,
    )


GROUP_STOPPED = "GroupStopped"
"""Type of the failure of a group that was paused or reset; its details are the progress."""


class GroupProgress(BaseModel):
    """What a group reports as its heartbeat: a summary for operators, and the rows that have ended.

    `settled`: no row is being sent, so the rows that are not among `ends` have not started.
    """

    summary: str
    started_at: str
    settled: bool
    ends: list[RowEnd]


NOTHING_STARTED = GroupProgress(summary="", started_at="", settled=True, ends=[])
"""The progress of a group that has not started any row."""
