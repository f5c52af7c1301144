"""Failures: their types, retries, delays and messages."""

import pytest

from activities.failures import backoff, lookup_failure, send_failure
from activities.redaction import redact
from send_whatsapp.cgb.errors import (
    CGBError,
    NotUnderstood,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
)
from send_whatsapp.contract.errors import ErrorType, FailureDetails, FieldProblem, invalid_request

KEY, PHONE, TEXT = "canary-key-123", "+1234567890", "The canary sings at midnight"
PRIVATE = (KEY, PHONE, TEXT)
SINCE = "2026-11-24T08:00:00Z"


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
def test_a_lookup_fails_as(kind: type[CGBError], type_: str, retried: bool) -> None:
    failed = lookup_failure(error(kind, unsent=False), 1, PRIVATE)
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
def test_a_send_fails_as(
    kind: type[CGBError],
    unsent: bool,
    delivery: str,
    earlier: str | None,
    type_: str,
    retried: bool,
) -> None:
    since = earlier or (None if unsent else SINCE)
    failed = send_failure(
        error(kind, unsent=unsent),
        1,
        PRIVATE,
        delivery,  # type: ignore[arg-type]
        since,
    )
    assert (failed.type, failed.non_retryable) == (type_, not retried)
    details = failed.details[0]
    assert isinstance(details, FailureDetails)
    assert details.nothing_sent is (since is None)
    if type_ == ErrorType.DELIVERY_UNKNOWN:
        assert SINCE in failed.message


def test_the_backoff_doubles_up_to_a_minute() -> None:
    waits = [backoff(attempt, error(Unavailable)) for attempt in (1, 2, 3, 6, 7, 100)]
    assert waits == [1, 2, 4, 32, 60, 60]


def test_retry_after_never_shortens_the_wait() -> None:
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


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("number +1 (234) 567-890 is bad", "number … is bad"),
        ("see https://example.com/help?key=1 now", "see … now"),
        ("see www.example.com now", "see … now"),
        (f"key {KEY} is wrong", "key … is wrong"),
        (f"cannot send {TEXT}", "cannot send …"),
        ("cannot send the CANARY SINGS", "(withheld, since it repeats the message)"),
        ("code 131047", "code 131047"),
        ("two\nlines\x00", "two lines"),
        ("x" * 300, "x" * 199 + "…"),
        ("contact 1234567 gone", "contact … gone"),
    ],
)
def test_the_providers_message_is_redacted(words: str, shown: str) -> None:
    assert redact(words, PRIVATE) == shown


def test_the_providers_message_is_quoted() -> None:
    failed = lookup_failure(error(Rejected, provider_message=f"no {PHONE}"), 1, PRIVATE)
    assert 'the provider says "no …"' in failed.message


def test_many_problems_are_cut_in_the_message_and_kept_in_the_details() -> None:
    found = [FieldProblem(field=f"f{i}", problem="is bad", expected="good") for i in range(7)]
    failed = invalid_request(found)
    assert "f4" in failed.message
    assert "and 2 more" in failed.message
    assert len(failed.details[0]) == 7
