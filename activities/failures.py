"""The only place that turns a provider error into a Temporal failure.

Which failure is which type: design, "Errors". What proves that nothing was sent: ADR 0002.
"""

import random
import re
from collections.abc import Iterable
from datetime import timedelta

from temporalio.exceptions import ApplicationError

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
)
from send_whatsapp.contract.request import Delivery

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
    ErrorType.RATE_LIMITED: "wait for the account's limit to free up, or lower"
    " CGB_MAX_REQUESTS_PER_MINUTE, then send again",
    ErrorType.PROVIDER_UNAVAILABLE: "check that the provider is up, then send again",
}

_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://\S*|\bwww\.\S+", re.IGNORECASE)
# A number is still one when blanks, dots, dashes or brackets stand between its digits.
_DIGITS = re.compile(r"\+?\d(?:[\s().\u00a0-]{0,3}\d){6,}")
_SHARED_RUN = 12
_WORDS_LENGTH = 200


def backoff(attempt: int, error: CGBError) -> float:
    """Return the seconds to wait after this attempt (1, 2, ...).

    1 s, doubled, at most 60 s; a rate limit without `Retry-After` waits for a spread-out part of a
    minute, which is what such limits count in; `Retry-After` never shortens the wait.
    """
    seconds = min(FIRST_BACKOFF_S * 2.0 ** min(attempt - 1, 10), MAX_BACKOFF_S)
    if error.retry_after is not None:
        return max(seconds, error.retry_after)
    if isinstance(error, RateLimited):
        window = min(20.0 * 2.0 ** min(attempt - 1, 10), MAX_BACKOFF_S)
        return max(seconds, window * random.uniform(0.5, 1.0))
    return seconds


def lookup_failure(error: CGBError, attempt: int, private: Iterable[str]) -> ApplicationError:
    """Return the failure of a lookup or a creation; `private` must not appear in its message."""
    type_ = _TYPES[type(error)]
    retryable = type_ in RETRYABLE
    detail = f"{error.detail}{_said(error, private)}"
    return ApplicationError(
        _sentence(error.call, detail, "nothing was sent", type_),
        FailureDetails(detail=f"could not {error.call}: {detail}"),
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
    """Return the failure of a send's attempt.

    `ambiguous_since` is the time of the first attempt, this one too, that is not proven unsent.
    What is proven unsent is tried again; what is not, under `at_least_once` only.
    """
    type_ = _TYPES[type(error)]
    detail = f"{error.detail}{_said(error, private)}"
    known = "nothing was sent" if ambiguous_since is None else "it may have been sent"
    details = FailureDetails(
        nothing_sent=ambiguous_since is None,
        ambiguous_since=ambiguous_since,
        detail=f"could not {error.call}: {detail}",
    )
    if type_ in RETRYABLE and (error.unsent or delivery == "at_least_once"):
        return ApplicationError(
            _sentence(error.call, detail, known, type_),
            details,
            type=type_,
            next_retry_delay=timedelta(seconds=backoff(attempt, error)),
        )
    if ambiguous_since is not None:
        return delivery_unknown(f"could not {error.call}: {detail}", ambiguous_since)
    return failure(type_, _sentence(error.call, detail, known, type_), details)


def clean(words: str, private: Iterable[str]) -> str:
    """Return the provider's words without URLs, numbers and whatever is private, cut to 200."""
    for secret in sorted({p for p in private if p}, key=len, reverse=True):
        words = words.replace(secret, "…")
        if len(secret) > _SHARED_RUN and _share_a_run(words, secret):
            return "(withheld, since they repeat the message)"
    words = _DIGITS.sub("…", _URL.sub("…", words))
    words = " ".join("".join(c if c.isprintable() else " " for c in words).split())
    return words if len(words) <= _WORDS_LENGTH else words[: _WORDS_LENGTH - 1] + "…"


def _share_a_run(words: str, secret: str) -> bool:
    # The provider may repeat a part of the text only, cut off or escaped.
    words, secret = words[:2000].casefold(), secret.casefold()
    runs = range(len(secret) - _SHARED_RUN + 1)
    return any(secret[start : start + _SHARED_RUN] in words for start in runs)


def _said(error: CGBError, private: Iterable[str]) -> str:
    return (
        f', the provider says "{clean(error.provider_message, private)}"'
        if error.provider_message
        else ""
    )


def _sentence(call: str, detail: str, known: str, type_: ErrorType) -> str:
    return f"Could not {call} ({detail}), {known}: {_NEXT_STEP[type_]}"
