"""The time limits nest as time_limits.py says."""

from send_whatsapp.gateway import time_limits

ANSWERED_503_WITHIN_S = 10.0


def test_every_503_is_sent_in_time() -> None:
    slowest_start = time_limits.START_SLOT_S + time_limits.TEMPORAL_S
    for limit in (slowest_start, time_limits.BATCH_START_S, time_limits.READY_S):
        assert limit < ANSWERED_503_WITHIN_S


def test_the_first_try_leaves_time_for_the_second() -> None:
    assert time_limits.FIRST_TRY_S < time_limits.TEMPORAL_S
