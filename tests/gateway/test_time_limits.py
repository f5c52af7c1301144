"""The time limits nest as time_limits.py says."""

from send_whatsapp.gateway import time_limits

ANSWERED_503_WITHIN_S = 10.0


def test_every_503_is_sent_in_time() -> None:
    slowest_start = time_limits.START_SLOT_S + time_limits.TEMPORAL_S
    for limit in (slowest_start, time_limits.BATCH_START_S, time_limits.READY_S):
        assert limit < ANSWERED_503_WITHIN_S


def test_the_clock_and_the_first_try_leave_time_for_the_second() -> None:
    assert time_limits.CLOCK_S + time_limits.FIRST_TRY_S < time_limits.TEMPORAL_S


def test_a_request_without_proof_has_less_time_than_others() -> None:
    assert time_limits.UNPROVEN_ARRIVAL_S < time_limits.ARRIVAL_S
    assert time_limits.DRAIN_S < time_limits.UNPROVEN_ARRIVAL_S
