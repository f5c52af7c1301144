"""Which parts of a batch wait for a send window, and when they may continue."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from send_whatsapp.contract.batch import Counts
from send_whatsapp.contract.part_signals import PartProgress
from send_whatsapp.contract.parts import BatchInput
from workflows.batch_progress import MAX_PARTS, BatchProgress

NINE = datetime(2027, 1, 31, 9, tzinfo=UTC)
TEN = NINE + timedelta(hours=1)


def batch(*parts: int, **fields: Any) -> BatchProgress:
    counts = [Counts(running=rows) for rows in parts]
    return BatchProgress(BatchInput(key="k", parts=counts, **fields))


def start_all(progress: BatchProgress) -> list[str]:
    started = []
    while progress.may_start_part():
        started.append(progress.start_part())
    return started


def report(progress: BatchProgress, number: int, rows: int, **fields: Any) -> None:
    part = PartProgress(
        part=progress.part_id(number), counts=Counts(running=rows), **{"wakes": 0} | fields
    )
    progress.report(part)


def park(progress: BatchProgress, number: int, rows: int = 250, **fields: Any) -> None:
    """Report that all rows of a part wait for their windows."""
    report(progress, number, rows, **{"outside_window": rows, "opens_at": NINE} | fields)


def test_parts_whose_rows_wait_for_their_windows_hold_up_no_other_part() -> None:
    progress = batch(*[250] * 100)
    started = 0
    while parts := start_all(progress):
        for _ in parts:
            park(progress, started)
            started += 1
    assert started == 100
    assert len(progress.running) == 100 > MAX_PARTS
    assert progress.windows.openings == [NINE]
    assert progress.state.outside_window == 25_000
    assert progress.state.window_opens_at == NINE


def test_when_a_window_opens_parts_continue_as_room_allows() -> None:
    progress = batch(*[250] * 10)
    for number in range(10):
        start_all(progress)
        park(progress, number)
    assert not progress.may_start_part()
    assert (progress.state.outside_window, progress.state.window_opens_at) == (2500, NINE)
    progress.windows.open(NINE)
    assert progress.windows.openings == []
    assert (progress.state.outside_window, progress.state.window_opens_at) == (0, None)
    assert start_all(progress) == [progress.part_id(number) for number in range(4)]
    message = progress.control("batch-k", progress.part_id(0))
    assert (message.wakes, progress.control("batch-k", progress.part_id(9)).wakes) == (1, 0)
    report(progress, 0, 25, in_flight=0, retrying=25, wakes=1)
    assert start_all(progress) == [progress.part_id(4)]


def test_a_report_from_before_the_opening_changes_nothing() -> None:
    progress = batch(250)
    start_all(progress)
    park(progress, 0)
    progress.windows.open(NINE)
    assert start_all(progress) == [progress.part_id(0)]
    park(progress, 0)
    assert start_all(progress) == []
    assert progress.state.outside_window == 0
    park(progress, 0, wakes=1, opens_at=TEN)
    assert progress.windows.openings == [TEN]
    assert progress.state.outside_window == 250


def test_an_opening_that_has_come_needs_no_timer() -> None:
    progress = batch(250, 250)
    start_all(progress)
    progress.windows.open(TEN)
    park(progress, 0)
    assert progress.windows.openings == []
    assert start_all(progress) == [progress.part_id(0)]


def test_a_paused_batch_continues_no_part() -> None:
    progress = batch(250)
    start_all(progress)
    park(progress, 0)
    progress.pause("an operator paused it")
    progress.windows.open(NINE)
    assert start_all(progress) == []
    progress.resume()
    assert start_all(progress) == [progress.part_id(0)]


def test_a_cancelled_batch_starts_the_other_parts_and_expects_reports_of_all() -> None:
    progress = batch(*[250] * 6)
    start_all(progress)
    for number in range(4):
        park(progress, number)
    assert not progress.expects_reports
    progress.windows.open(NINE)
    progress.checkpoint.cancelled = True
    assert progress.expects_reports
    assert start_all(progress) == [progress.part_id(4), progress.part_id(5)]
    assert len(progress.windows.active) == 6


def test_parts_that_only_wait_for_a_window_are_not_expected_to_report() -> None:
    progress = batch(250, 250)
    start_all(progress)
    park(progress, 0)
    assert progress.windows.active == [progress.part_id(1)]
    report(progress, 1, 250, in_flight=1, outside_window=249, opens_at=NINE)
    assert progress.windows.active == [progress.part_id(1)]
    park(progress, 1)
    assert (progress.windows.active, progress.expects_reports) == ([], False)


def test_with_a_rate_one_part_after_the_other_continues() -> None:
    progress = batch(250, 250, 250, per_minute=60)
    for number in range(3):
        start_all(progress)
        park(progress, number)
    progress.windows.open(NINE)
    assert start_all(progress) == [progress.part_id(0)]
    report(progress, 0, 250, wakes=1, retrying=250)
    assert start_all(progress) == [progress.part_id(1)]


def test_a_batch_that_continues_as_new_knows_which_windows_have_opened() -> None:
    progress = batch(250, 250)
    start_all(progress)
    park(progress, 0)
    park(progress, 1, opens_at=TEN)
    progress.windows.open(NINE)
    text = progress.next_input().model_dump_json(by_alias=True)
    following = BatchProgress(BatchInput.model_validate_json(text))
    assert following.windows.openings == [TEN]
    assert start_all(following) == [following.part_id(0)]


@pytest.mark.parametrize(("parked", "idle_s"), [((0,), 0), ((0, 1), 3600)])
def test_only_the_time_in_which_all_rows_wait_counts_as_idle(
    parked: tuple[int, ...], idle_s: float
) -> None:
    progress = batch(250, 250)
    start_all(progress)
    for number in parked:
        park(progress, number)
    progress.windows.note_idle(NINE)
    progress.windows.open(NINE)
    start_all(progress)
    progress.windows.note_idle(TEN)
    assert progress.state.idle_since is None
    assert progress.state.idle_s == idle_s
