"""The estimate of the time until a batch has ended."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from send_whatsapp.client.batches.status import BatchStatus
from send_whatsapp.contract.batch import BatchState, Counts


def ago(seconds: float) -> timedelta:
    """Return a time before that of the test: its parameters are made long before it runs."""
    return timedelta(seconds=seconds)


def seconds_left(**fields: Any) -> int | None:
    now = datetime.now(UTC)
    at = {name: now - value for name, value in fields.items() if isinstance(value, timedelta)}
    state = BatchState(key="k", generation=1, complete=True, **fields | at)
    return BatchStatus.of(state, running=True).seconds_left


@pytest.mark.parametrize(
    ("fields", "least", "most"),
    [
        pytest.param({"per_minute": 60, "started_at": ago(0)}, 100, 100, id="the rate"),
        pytest.param({"per_minute": 60, "send_at": ago(-500)}, 101, 600, id="start and rate"),
        pytest.param({"per_minute": 60, "send_at": ago(50)}, 100, 100, id="a start in the past"),
    ],
)
def test_rate_and_start_bound_the_time_left(fields: dict[str, Any], least: int, most: int) -> None:
    left = seconds_left(counts=Counts(running=100), **fields)
    assert left is not None
    assert least <= left <= most


def test_the_speed_so_far_does_not_count_rows_of_an_earlier_start() -> None:
    counts = Counts(accepted=150, running=100)
    left = seconds_left(counts=counts, ended_before=100, started_at=ago(10))
    assert left is not None
    assert 20 <= left <= 22


@pytest.mark.parametrize(
    ("fields", "least", "most"),
    [
        pytest.param({"outside_window": 100, "per_minute": 60}, 3700, 3700, id="all wait"),
        pytest.param({"outside_window": 10, "per_minute": 60}, 3610, 3610, id="some wait"),
        pytest.param(
            {"outside_window": 100, "window_opens_at": ago(5), "per_minute": 60},
            *(100, 100),
            id="the window has opened",
        ),
        pytest.param(
            {
                "counts": Counts(accepted=10, running=100),
                "outside_window": 100,
                "idle_since": ago(7200),
                "idle_s": 86400.0,
                "started_at": ago(86400 + 7200 + 10),
            },
            *(3700, 3701),
            id="nights do not count for the speed",
        ),
    ],
)
def test_the_time_left_respects_the_next_opening_of_a_window(
    fields: dict[str, Any], least: int, most: int
) -> None:
    default = {"counts": Counts(running=100), "started_at": ago(0), "window_opens_at": ago(-3600)}
    left = seconds_left(**default | fields)
    assert left is not None
    assert least <= left <= most


@pytest.mark.parametrize(
    "fields",
    [{}, {"started_at": ago(5)}, {"send_at": ago(-5)}, {"paused": True, "per_minute": 60}],
    ids=["nothing sent", "just started", "starts later", "paused"],
)
def test_without_a_rate_or_a_speed_the_time_left_is_not_known(fields: dict[str, Any]) -> None:
    assert seconds_left(counts=Counts(running=100), **fields) is None


def test_an_ended_batch_has_no_time_left() -> None:
    state = BatchState(key="k", generation=1, complete=True, counts=Counts(accepted=3))
    assert BatchStatus.of(state, running=False).seconds_left == 0
