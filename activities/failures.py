"""The only place that turns a provider error into a Temporal failure.

docs/errors.md lists the types, docs/delivery.md says what proves that nothing was sent.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.redaction import redact
from activities.retries import Retries, RetryLimits, backoff
from send_whatsapp.cgb.errors import (
    CGBError,
    NotUnderstood,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
)
from send_whatsapp.contract.attempts import AttemptRecord
from send_whatsapp.contract.errors import (
    RETRYABLE,
    ErrorType,
    FailureDetails,
    delivery_unknown,
    failure,
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
    ErrorType.UNAUTHORIZED: "check CGB_API_KEY with `send-whatsapp doctor`",
    ErrorType.PROVIDER_REJECTED: "correct what the provider names",
    ErrorType.PROVIDER_CONTRACT: "check CGB_API_URL with `send-whatsapp doctor`",
    ErrorType.RATE_LIMITED: "wait until the account's limit allows more, or lower"
    " CGB_MAX_REQUESTS_PER_MINUTE",
    ErrorType.PROVIDER_UNAVAILABLE: "check that the provider is up",
}


def lookup_failure(error: CGBError, private: Iterable[str], retries: Retries) -> ApplicationError:
    """Return the failure of a lookup or creation; its message shows nothing that is `private`."""
    return _call_failure(error, private, retries, "nothing was sent", "send again")


def change_failure(error: CGBError, private: Iterable[str], retries: Retries) -> ApplicationError:
    """Return the failure of a call that changes an opt-out, like that of a lookup."""
    return _call_failure(error, private, retries, "so the opt-out may be as before", "repeat it")


def _call_failure(
    error: CGBError, private: Iterable[str], retries: Retries, effect: str, again: str
) -> ApplicationError:
    type_ = _TYPES[type(error)]
    # A lookup does not know the message's text, and an answer that repeats the number may repeat
    # the text of an earlier message, too.
    answer = _answer(error, private, mask=False)
    details = FailureDetails(detail=f"could not {error.call}: {answer}")
    delay = retries.delay(error) if type_ in RETRYABLE else None
    what = f"Could not {error.call} ({answer}), {effect}"
    if delay:
        return _retried(what, details, type_, delay, retries)
    return _final(what, details, type_, again)


def send_failure(
    error: CGBError,
    private: Iterable[str],
    delivery: Delivery,
    known: AttemptRecord,
    retries: Retries,
) -> ApplicationError:
    """Return the failure of one attempt to send.

    `known` is what is known after this attempt. An attempt that is proven unsent is retried as
    `retries` allow; any other only under `at_least_once`, and without their extra time.
    """
    type_ = _TYPES[type(error)]
    answer = _answer(error, private)
    delay = None
    if type_ in RETRYABLE and error.unsent:
        delay = retries.delay(error)
    elif type_ in RETRYABLE and delivery == "at_least_once":
        last = known.ambiguous_attempts >= retries.attempts
        delay = None if last else backoff(retries.attempt, error)
    since = known.ambiguous_since
    effect = "nothing was sent" if since is None else "it may have been sent"
    what = f"Could not {error.call} ({answer}), {effect}"
    details = FailureDetails(
        nothing_sent=since is None,
        ambiguous_since=since,
        detail=f"could not {error.call}: {answer}",
    )
    if delay is not None:
        return _retried(what, details, type_, delay, retries)
    if since is not None:
        return delivery_unknown(f"could not {error.call}: {answer}", since)
    return _final(what, details, type_)


def _retried(
    what: str, details: FailureDetails, type_: ErrorType, delay_s: float, retries: Retries
) -> ApplicationError:
    details.retried_until = utc(retries.until)
    return ApplicationError(
        f"{what}; Temporal retries it",
        details,
        type=type_,
        next_retry_delay=timedelta(seconds=delay_s),
    )


def _final(
    what: str, details: FailureDetails, type_: ErrorType, again: str = "send again"
) -> ApplicationError:
    return failure(type_, f"{what}: {_NEXT_STEP[type_]}, then {again}", details)


def check_lost_attempts(limits: RetryLimits) -> None:
    """Fail if the attempts of a lookup are used up because its workers were lost."""
    if limits.of_activity().used_up:
        raise failure(
            ErrorType.PROVIDER_UNAVAILABLE,
            "Nothing was sent, because workers were lost during each lookup of the contact or the"
            " template: check the workers, then send again",
            FailureDetails(),
        )


@contextmanager
def map_unexpected_errors(*, sending: bool = False) -> Iterator[None]:
    """Turn an unexpected exception into a failure without private data; other failures pass.

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


def _answer(error: CGBError, private: Iterable[str], *, mask: bool = True) -> str:
    if not error.provider_message:
        return error.detail
    words = redact(error.provider_message, private, mask=mask)
    return f'{error.detail}, the provider says "{words}"'
