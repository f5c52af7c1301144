"""Failures: their types, retries, delays and messages."""

from datetime import UTC, datetime, timedelta

import pytest

from activities.failures import lookup_failure, send_failure
from activities.retries import Retries, backoff
from send_whatsapp.cgb.errors import (
    CGBError,
    NotUnderstood,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
)
from send_whatsapp.contract.attempts import AttemptRecord
from send_whatsapp.contract.errors import ErrorType, FailureDetails, FieldProblem, invalid_request
from send_whatsapp.contract.fields import Delivery

KEY, PHONE, TEXT = "canary-key-123", "+1234567890", "The canary sings at midnight"
PRIVATE = (KEY, PHONE, TEXT)
SINCE = "2026-11-24T08:00:00Z"


NOW = datetime.now(UTC)
FIRST = Retries(attempt=1, attempts=4, until=NOW)
LAST = Retries(attempt=4, attempts=4, until=NOW)
LATER = Retries(attempt=40, attempts=4, until=NOW + timedelta(hours=1))


def error(
    kind: type[CGBError], *, unsent: bool = True, provider_message: str | None = None
) -> CGBError:
    return kind("send the text", "HTTP 418", unsent, provider_message, 418)


@pytest.mark.parametrize(
    ("kind", "type_", "retried"),
    [
        (Unauthorized, "Unauthorized", False),
        (Rejected, "ProviderRejected", False),
        (RateLimited, "RateLimited", True),
        (Unavailable, "ProviderUnavailable", True),
        (NotUnderstood, "ProviderContract", False),
    ],
)
def test_the_providers_error_decides_how_a_lookup_fails(
    kind: type[CGBError], type_: str, retried: bool
) -> None:
    failed = lookup_failure(error(kind, unsent=False), PRIVATE, FIRST)
    assert (failed.type, failed.non_retryable) == (type_, not retried)
    assert (failed.next_retry_delay is not None) is retried
    assert "nothing was sent" in failed.message


@pytest.mark.parametrize(
    ("kind", "unsent", "delivery", "earlier", "type_", "retried"),
    [
        (Unavailable, True, "at_least_once", None, "ProviderUnavailable", True),
        (Unavailable, True, "at_most_once", None, "ProviderUnavailable", True),
        (Unavailable, False, "at_least_once", None, "ProviderUnavailable", True),
        (Unavailable, False, "at_most_once", None, "DeliveryUnknown", False),
        (RateLimited, True, "at_most_once", None, "RateLimited", True),
        (RateLimited, True, "at_least_once", SINCE, "RateLimited", True),
        (Rejected, True, "at_least_once", None, "ProviderRejected", False),
        (Rejected, True, "at_least_once", SINCE, "DeliveryUnknown", False),
        (Unauthorized, True, "at_most_once", None, "Unauthorized", False),
        (NotUnderstood, False, "at_least_once", None, "DeliveryUnknown", False),
        (NotUnderstood, False, "at_most_once", None, "DeliveryUnknown", False),
    ],
)
def test_error_delivery_and_earlier_attempts_decide_how_a_send_fails(
    kind: type[CGBError],
    unsent: bool,
    delivery: str,
    earlier: str | None,
    type_: str,
    retried: bool,
) -> None:
    since = earlier or (None if unsent else SINCE)
    known = AttemptRecord(attempt=1, ambiguous_since=since, ambiguous_attempts=int(bool(since)))
    failed = send_failure(
        error(kind, unsent=unsent),
        PRIVATE,
        delivery,  # type: ignore[arg-type]
        known,
        FIRST,
    )
    assert (failed.type, failed.non_retryable) == (type_, not retried)
    details = failed.details[0]
    assert isinstance(details, FailureDetails)
    assert details.nothing_sent is (since is None)
    if type_ == ErrorType.DELIVERY_UNKNOWN:
        assert SINCE in failed.message


@pytest.mark.parametrize(("retries", "retried"), [(FIRST, True), (LAST, False), (LATER, True)])
@pytest.mark.parametrize("kind", [Unavailable, RateLimited])
def test_a_lookup_is_retried_until_attempts_and_time_are_used_up(
    kind: type[CGBError], retries: Retries, retried: bool
) -> None:
    failed = lookup_failure(error(kind), PRIVATE, retries)
    assert failed.non_retryable is not retried
    assert ("Temporal retries it" in failed.message) is retried
    assert ("send again" in failed.message) is not retried


@pytest.mark.parametrize(("retries", "retried"), [(FIRST, True), (LAST, False), (LATER, True)])
@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
def test_a_send_that_is_proven_unsent_is_retried_likewise(
    retries: Retries, retried: bool, delivery: Delivery
) -> None:
    known = AttemptRecord(attempt=retries.attempt)
    failed = send_failure(error(Unavailable), PRIVATE, delivery, known, retries)
    assert failed.non_retryable is not retried


@pytest.mark.parametrize(("ambiguous", "retried"), [(1, True), (3, True), (4, False)])
def test_ambiguous_attempts_count_against_the_attempts_alone(ambiguous: int, retried: bool) -> None:
    known = AttemptRecord(attempt=40, ambiguous_since=SINCE, ambiguous_attempts=ambiguous)
    failed = send_failure(error(Unavailable, unsent=False), PRIVATE, "at_least_once", known, LATER)
    assert failed.non_retryable is not retried
    assert failed.type == ("ProviderUnavailable" if retried else "DeliveryUnknown")


def test_the_backoff_doubles_up_to_a_minute() -> None:
    waits = [backoff(attempt, error(Unavailable)) for attempt in (1, 2, 3, 6, 7, 100)]
    assert waits == [1, 2, 4, 32, 60, 60]


def test_retry_after_only_lengthens_the_backoff() -> None:
    limited = error(Unavailable)
    limited.retry_after = 10
    assert [backoff(attempt, limited) for attempt in (1, 5)] == [10, 16]


def test_a_rate_limit_waits_for_a_random_part_of_a_minute() -> None:
    first = {backoff(1, error(RateLimited)) for _ in range(50)}
    assert all(10 <= wait <= 20 for wait in first)
    assert len(first) > 40
    assert 30 <= backoff(3, error(RateLimited)) <= 60
    limited = error(RateLimited)
    limited.retry_after = 3
    assert backoff(1, limited) == 3


def test_the_providers_message_is_quoted() -> None:
    rejected = error(Rejected, provider_message=f"no {PHONE}")
    failed = send_failure(rejected, PRIVATE, "at_most_once", AttemptRecord(), FIRST)
    assert 'the provider says "no …"' in failed.message
    busy = error(Rejected, provider_message="suspended until 6 pm")
    assert "suspended until 6 pm" in lookup_failure(busy, PRIVATE, FIRST).message


def test_a_lookup_shows_no_words_beside_private_data() -> None:
    repeats = error(Rejected, provider_message=f"no {PHONE}, which got: See you")
    assert "See you" not in lookup_failure(repeats, PRIVATE, FIRST).message


def test_many_problems_are_cut_in_the_message_and_kept_in_the_details() -> None:
    found = [FieldProblem(field=f"f{i}", problem="is bad", expected="good") for i in range(7)]
    failed = invalid_request(found)
    assert "f4" in failed.message
    assert "and 2 more" in failed.message
    assert len(failed.details[0]) == 7
