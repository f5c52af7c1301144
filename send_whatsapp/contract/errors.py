"""The error types of a run: what each means, whether it is retried, and what its failure carries.

docs/errors.md explains each type to callers and operators.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from temporalio.exceptions import ApplicationError, is_cancelled_exception

from send_whatsapp.contract.result import Outcome, SendError, SendWhatsAppResult


class ErrorType(StrEnum):
    """Type of the `ApplicationError` that a failed run ends with."""

    INVALID_REQUEST = "InvalidRequest"
    INVALID_PHONE_NUMBER = "InvalidPhoneNumber"
    TEMPLATE_NOT_FOUND = "TemplateNotFound"
    UNAUTHORIZED = "Unauthorized"
    PROVIDER_REJECTED = "ProviderRejected"
    PROVIDER_CONTRACT = "ProviderContract"
    RATE_LIMITED = "RateLimited"
    PROVIDER_UNAVAILABLE = "ProviderUnavailable"
    DELIVERY_UNKNOWN = "DeliveryUnknown"
    EXPIRED = "Expired"
    OPTED_OUT = "OptedOut"


FIRST_BACKOFF_S = 1.0
MAX_BACKOFF_S = 60.0
"""Backoff between attempts: 1 s, doubled each time, at most 60 s."""

RETRYABLE = frozenset({ErrorType.RATE_LIMITED, ErrorType.PROVIDER_UNAVAILABLE})
"""Types that Temporal retries. A caller may also start a run again that ended with one of them."""

INVALID = frozenset({ErrorType.INVALID_REQUEST, ErrorType.INVALID_PHONE_NUMBER})
"""Types that mean: the caller must correct the request."""


class FieldProblem(BaseModel):
    """One problem of a request: which field, what is wrong, what is expected; never the value."""

    field: str
    problem: str
    expected: str

    def __str__(self) -> str:
        """Return the problem as part of a sentence."""
        return f"{self.field} {self.problem} (expected {self.expected})"


class FailureDetails(BaseModel):
    """First detail of a failure that was caused by a provider call."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")

    nothing_sent: bool = True
    """True only if it is proven that no attempt so far has sent the message."""

    ambiguous_since: str | None = None
    """Start (UTC, ISO 8601) of the period in which the message may have been sent."""

    detail: str | None = None
    """What the call was and how the provider answered, as part of a sentence."""

    retried_until: str | None = None
    """Time (UTC, ISO 8601) until when Temporal retries; null if it does not."""


def failure_details(error: ApplicationError) -> FailureDetails:
    """Return the details of a failure that was caused by a provider call."""
    return FailureDetails.model_validate(error.details[0] if error.details else {})


def outcome_of(error: BaseException) -> Outcome:
    """Return the outcome of a message whose run (or row of a batch) ended with this error."""
    if is_cancelled_exception(error):
        return "cancelled"
    unknown = isinstance(error, ApplicationError) and error.type == ErrorType.DELIVERY_UNKNOWN
    return "unknown" if unknown else "failed"


def failed_result(type_: str, message: str) -> SendWhatsAppResult:
    """Return the result of a message that was not accepted, for starters that want a value."""
    error = SendError(type=type_, message=message, retryable=type_ in RETRYABLE)
    return SendWhatsAppResult(success=False, error=error)


def result_of(error: BaseException) -> SendWhatsAppResult:
    """Return the result of a message whose run ended with this error."""
    if is_cancelled_exception(error):
        return failed_result("Cancelled", "Cancelled, nothing was sent")
    if isinstance(error, ApplicationError):
        return failed_result(error.type or "Unknown", error.message)
    return failed_result("Unknown", "The run ended with an error that is not one of ours")


def failure(
    type_: ErrorType, message: str, *details: FailureDetails | list[FieldProblem]
) -> ApplicationError:
    """Return a failure of one of our types that Temporal does not retry."""
    return ApplicationError(message, *details, type=type_, non_retryable=True)


def delivery_unknown(reason: str, since: str) -> ApplicationError:
    """Return the failure of a message that may have been sent at `since` (UTC) or later."""
    return failure(
        ErrorType.DELIVERY_UNKNOWN,
        f"The message may have been sent at {since} or later, but nobody can know ({reason}):"
        " look for it in the provider's inbox, and send it again with `send-whatsapp resend` only"
        " if it is missing",
        FailureDetails(nothing_sent=False, ambiguous_since=since, detail=reason),
    )


def expired(ambiguous_since: str | None = None) -> ApplicationError:
    """Return the failure of a send that did not finish before `expiresAt`.

    `ambiguous_since` is the time since when the message may have been sent; None: it was not sent.
    """
    if ambiguous_since is not None:
        return delivery_unknown("no clear answer before expiresAt", ambiguous_since)
    return failure(
        ErrorType.EXPIRED,
        "Nothing was sent, because the message could not be sent before expiresAt: send it again"
        " with a later time if it still matters",
        FailureDetails(),
    )


def opted_out(reason: str, ambiguous_since: str | None = None) -> ApplicationError:
    """Return the failure of a message to a person who has opted out; `reason` says how we know.

    `ambiguous_since` is the time since when the message may have been sent; None: it was not sent.
    """
    if ambiguous_since is not None:
        return delivery_unknown(f"{reason}, so it is not sent again", ambiguous_since)
    return failure(
        ErrorType.OPTED_OUT,
        f"Nothing was sent, because {reason}: do not write to this person, or send with"
        " ignoreOptOut if the law requires the message",
        FailureDetails(),
    )


def invalid_request(problems: Sequence[FieldProblem]) -> ApplicationError:
    """Return the `InvalidRequest` failure that names every wrong field."""
    listed = "; ".join(str(problem) for problem in problems[:5])
    more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
    return failure(
        ErrorType.INVALID_REQUEST,
        f"Correct the request and start it again: {listed}{more}",
        list(problems[:100]),
    )


def utc(time: datetime) -> str:
    """Return a time in UTC, ISO 8601, to the second: `2027-01-31T09:00:00Z`."""
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
