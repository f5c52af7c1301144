"""The only place that turns a provider error into a Temporal failure.

docs/errors.md lists the types, docs/delivery.md says what proves that nothing was sent.
"""

import logging
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Self

from pydantic import BaseModel
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.redaction import redact
from send_whatsapp.cgb.errors import (
    CGBError,
    NotUnderstood,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
)
from send_whatsapp.contract.errors import (
    FIRST_BACKOFF_S,
    MAX_BACKOFF_S,
    RETRYABLE,
    ErrorType,
    FailureDetails,
    delivery_unknown,
    failure,
    failure_details,
    utc,
)
from send_whatsapp.contract.fields import Delivery

logger = logging.getLogger(__name__)

_TYPES: dict[type[CGBError], ErrorType] = {
    Unauthorized: ErrorType.UNAUTHORIZED,
    Rejected: ErrorType.PROVIDER_REJECTED,
    RateLimited: ErrorType.RATE_LIMITED,
    Unavailable: ErrorType.PROVIDER_UNAVAILABLE,
    NotUnderstood: ErrorType.PROVIDER_CONTRACT,
}

_NEXT_STEP = {
    ErrorType.UNAUTHORIZED: "check CGB_API_KEY with `send-whatsapp doctor`, then send again",
    ErrorType.PROVIDER_REJECTED: "correct what the provider names, then send again",
    ErrorType.PROVIDER_CONTRACT: "check CGB_API_URL with `send-whatsapp doctor`, then send again",
    ErrorType.RATE_LIMITED: "wait until the account's limit allows more, or lower"
    " CGB_MAX_REQUESTS_PER_MINUTE, then send again",
    ErrorType.PROVIDER_UNAVAILABLE: "check that the provider is up, then send again",
}


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


def backoff(attempt: int, error: CGBError) -> float:
    """Return the seconds to wait after this attempt (1, 2, ...).

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


def lookup_failure(error: CGBError, attempt: int, private: Iterable[str]) -> ApplicationError:
    """Return the failure of a lookup or creation; its message shows nothing that is `private`."""
    type_ = _TYPES[type(error)]
    answer = _answer(error, private)
    retryable = type_ in RETRYABLE
    return ApplicationError(
        _message(error.call, answer, "nothing was sent", type_),
        FailureDetails(detail=f"could not {error.call}: {answer}"),
        type=type_,
        non_retryable=not retryable,
        next_retry_delay=timedelta(seconds=backoff(attempt, error)) if retryable else None,
    )


def send_failure(
    error: CGBError,
    attempt: int,
    private: Iterable[str],
    delivery: Delivery,
    ambiguous_since: str | None,
) -> ApplicationError:
    """Return the failure of one attempt to send.

    `ambiguous_since` is the time of the first attempt, this one included, that is not proven
    unsent. An attempt that is proven unsent is retried; any other only under `at_least_once`.
    """
    type_ = _TYPES[type(error)]
    answer = _answer(error, private)
    effect = "nothing was sent" if ambiguous_since is None else "it may have been sent"
    details = FailureDetails(
        nothing_sent=ambiguous_since is None,
        ambiguous_since=ambiguous_since,
        detail=f"could not {error.call}: {answer}",
    )
    if type_ in RETRYABLE and (error.unsent or delivery == "at_least_once"):
        return ApplicationError(
            _message(error.call, answer, effect, type_),
            details,
            type=type_,
            next_retry_delay=timedelta(seconds=backoff(attempt, error)),
        )
    if ambiguous_since is not None:
        return delivery_unknown(f"could not {error.call}: {answer}", ambiguous_since)
    return failure(type_, _message(error.call, answer, effect, type_), details)


@contextmanager
def map_unexpected_errors(*, sending: bool = False) -> Iterator[None]:
    """Turn a bug of ours into a failure that shows no data; other failures pass unchanged.

    With `sending` the failure is `DeliveryUnknown`, since the call may have been made.
    """
    try:
        yield
    except ApplicationError:
        raise
    except Exception as error:
        logger.exception("bug in an activity")
        name = type(error).__name__
        if sending:
            since = utc(activity.info().scheduled_time)
            raise delivery_unknown(f"a bug in the worker, {name}", since) from None
        raise failure(
            ErrorType.PROVIDER_CONTRACT,
            f"Nothing was sent, because of a bug in the worker ({name}): report it with the"
            " worker's log of this run",
        ) from None


def _message(call: str, answer: str, effect: str, type_: ErrorType) -> str:
    return f"Could not {call} ({answer}), {effect}: {_NEXT_STEP[type_]}"


def _answer(error: CGBError, private: Iterable[str]) -> str:
    if not error.provider_message:
        return error.detail
    return f'{error.detail}, the provider says "{redact(error.provider_message, private)}"'
