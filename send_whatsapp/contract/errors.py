"""The error types of a run: what each means, whether it is retried, what its failure carries."""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from temporalio.exceptions import ApplicationError


class ErrorType(StrEnum):
    """Type of the `ApplicationError` that a run ends with (design: "Errors")."""

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


FIRST_BACKOFF_S = 1.0
MAX_BACKOFF_S = 60.0
"""Backoff of every provider call: 1 s, doubled, at most 60 s."""

RETRYABLE = frozenset({ErrorType.RATE_LIMITED, ErrorType.PROVIDER_UNAVAILABLE})
"""Types that Temporal tries again; a starter may also start a run anew that ended with one."""

INVALID = frozenset({ErrorType.INVALID_REQUEST, ErrorType.INVALID_PHONE_NUMBER})
"""Types that say the caller must change the request."""


class FieldProblem(BaseModel):
    """One thing wrong with a request: where, what, and what is expected; never the value."""

    field: str
    problem: str
    expected: str


class FailureDetails(BaseModel):
    """First detail of a failure that a provider call caused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")

    nothing_sent: bool = True
    """True where it is proven that no attempt so far has sent the message."""

    ambiguous_since: str | None = None
    """Time (UTC, ISO 8601) of the first attempt known to have an unknown outcome."""

    detail: str | None = None
    """What was asked of the provider and what came back, in words."""


def failure(
    type_: ErrorType, message: str, *details: FailureDetails | list[FieldProblem]
) -> ApplicationError:
    """Return the failure of one of our types, not retried, to be raised by the workflow."""
    return ApplicationError(message, *details, type=type_, non_retryable=True)


def delivery_unknown(why: str, since: str) -> ApplicationError:
    """Return the failure for a message that may or may not have gone out since that time."""
    return failure(
        ErrorType.DELIVERY_UNKNOWN,
        f"Nobody can know whether the message went out at {since} or later ({why}): look for it in"
        " the provider's inbox, and only if it is missing send it again with"
        " `send-whatsapp resend`",
        FailureDetails(nothing_sent=False, ambiguous_since=since, detail=why),
    )


def expired(ambiguous_since: str | None = None) -> ApplicationError:
    """Return the failure of a send that its `expiresAt` overtook."""
    if ambiguous_since is not None:
        return delivery_unknown("no clear answer before expiresAt", ambiguous_since)
    return failure(
        ErrorType.EXPIRED,
        "Not sent, because it could not be sent before expiresAt: send it again with a later time"
        " if it still matters",
        FailureDetails(),
    )


def utc(time: datetime) -> str:
    """Return a time as this project writes it: UTC, ISO 8601, to the second."""
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def invalid_request(problems: Sequence[FieldProblem]) -> ApplicationError:
    """Return the `InvalidRequest` failure that names every wrong field."""
    listed = "; ".join(f"{p.field}: {p.problem} (expected {p.expected})" for p in problems[:5])
    more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
    return failure(
        ErrorType.INVALID_REQUEST,
        f"Correct the request and start it again: {listed}{more}",
        list(problems[:100]),
    )
