"""The rows of a part: their counts, their outcomes, and when they are reported."""

from datetime import UTC, datetime, timedelta

import pytest

from send_whatsapp.contract.batch import Counts, Row, RowOutcome
from send_whatsapp.contract.errors import utc
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.contract.result import Outcome
from workflows.part_rows import PartRows, ReportSchedule

NOW = datetime(2027, 1, 31, tzinfo=UTC)


def at(seconds: float) -> str:
    return utc(NOW + timedelta(seconds=seconds))


def rows(count: int) -> list[Row]:
    request = SendWhatsAppRequest(to="+1234567890", message="x")
    return [Row(row=n, key=f"k{n}", request=request) for n in range(1, count + 1)]


def ended(key: str, outcome: Outcome = "accepted", seconds: float = 0) -> RowOutcome:
    return RowOutcome(row=1, key=key, to="+1", outcome=outcome, finished_at=at(seconds))


def end_next(part: PartRows, count: int = 1, seconds: float = 0) -> None:
    for row in part.start(count):
        part.end(ended(row.key, seconds=seconds))


def test_a_row_waits_is_in_flight_and_ends() -> None:
    part = PartRows(rows(3), [ended("known", "unknown")])
    assert (part.waiting, part.in_flight) == (3, 0)
    assert part.counts == Counts(unknown=1, running=3)
    [first] = part.start(1)
    assert (first.key, part.waiting, part.in_flight) == ("k1", 2, 1)
    assert part.counts == Counts(unknown=1, running=3)
    part.end(ended("k1", "failed"))
    assert (part.waiting, part.in_flight) == (2, 0)
    assert part.counts == Counts(unknown=1, failed=1, running=2)


def test_rows_that_did_not_start_after_all_are_the_next_to_start() -> None:
    part = PartRows(rows(5))
    first = part.start(3)
    part.put_back(first[1:])
    assert (part.waiting, part.in_flight) == (4, 1)
    assert [row.key for row in part.start(9)] == ["k2", "k3", "k4", "k5"]


def test_a_row_that_wants_another_attempt_is_not_in_flight_any_more() -> None:
    part = PartRows(rows(3))
    first, second = part.start(2)
    part.retry(first, "could not send a message: HTTP 503")
    assert (part.waiting, part.in_flight, part.retrying) == (1, 1, 1)
    assert part.retry_reason == "could not send a message: HTTP 503"
    part.end(ended(first.key))
    part.end(ended(second.key))
    assert (part.waiting, part.in_flight, part.retrying) == (1, 0, 0)
    assert not part.all_ended
    end_next(part)
    assert part.all_ended


def test_outcomes_are_in_the_order_of_the_part_and_settled_ones_follow() -> None:
    part = PartRows(rows(3), [ended("known")])
    for key in [row.key for row in part.start(3)][::-1]:
        part.end(ended(key))
    assert [row.key for row in part.ended] == ["k3", "k2", "k1"]
    assert [row.key for row in part.outcomes] == ["k1", "k2", "k3", "known"]


@pytest.mark.parametrize(
    ("newly_ended", "seconds", "due"),
    [(0, 60, False), (1, 4, False), (49, 4, False), (50, 0, True), (1, 5, True)],
)
def test_a_report_is_due_after_50_rows_or_5_seconds(
    newly_ended: int, seconds: int, due: bool
) -> None:
    part, schedule = PartRows(rows(100)), ReportSchedule()
    end_next(part)
    schedule.reported(part)
    end_next(part, newly_ended, seconds)
    assert schedule.is_due(part) is due


def test_the_first_row_that_ends_is_reported_at_once() -> None:
    part, schedule = PartRows(rows(100)), ReportSchedule()
    assert not schedule.is_due(part)
    end_next(part)
    assert schedule.is_due(part)


def test_a_part_reports_when_all_rows_have_started_and_when_none_is_in_flight() -> None:
    part, schedule = PartRows(rows(3)), ReportSchedule()
    first, second = part.start(2)
    assert not schedule.is_due(part)
    [third] = part.start(1)
    assert schedule.is_due(part)
    schedule.reported(part)
    assert not schedule.is_due(part)
    part.retry(first, "reason")
    assert schedule.is_due(part)
    schedule.reported(part)
    part.retry(second, "reason")
    assert not schedule.is_due(part)
    part.retry(third, "reason")
    assert schedule.is_due(part)


def test_rows_outside_of_their_windows_have_not_started_and_are_not_in_flight() -> None:
    part = PartRows(rows(5))
    [first] = part.start(1)
    part.separate({"k2": NOW + timedelta(hours=2), "k4": NOW + timedelta(hours=1)}, wakes=0)
    assert (part.waiting, part.in_flight, part.outside_window) == (2, 1, 2)
    assert part.opens_at == NOW + timedelta(hours=1)
    assert not part.is_idle
    assert [row.key for row in part.start(9)] == ["k3", "k5"]
    for key in (first.key, "k3", "k5"):
        part.end(ended(key))
    assert part.is_idle
    assert not part.all_ended
    # The windows open: the rows start in the order of the file.
    part.separate({}, wakes=1)
    assert (part.waiting, part.outside_window, part.opens_at, part.wakes) == (2, 0, None, 1)
    assert [row.key for row in part.start(9)] == ["k2", "k4"]


def test_a_row_may_start_outside_of_its_window_to_end_as_cancelled() -> None:
    part = PartRows(rows(2))
    part.separate({"k2": NOW}, wakes=0)
    for row in part.not_started:
        part.start_row(row)
        part.end(ended(row.key, "cancelled"))
    assert part.all_ended
    assert part.outside_window == 0


def test_a_part_reports_whenever_its_rows_were_separated_by_their_windows() -> None:
    part, schedule = PartRows(rows(2)), ReportSchedule()
    schedule.reported(part)
    assert not schedule.is_due(part)
    part.separate({"k2": NOW}, wakes=0)
    assert schedule.is_due(part)
    schedule.reported(part)
    assert not schedule.is_due(part)
    part.separate({"k2": NOW}, wakes=1)
    assert schedule.is_due(part)
