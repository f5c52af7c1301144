"""The rows of a part: their counts, their outcomes, and when they are reported."""

from datetime import UTC, datetime, timedelta

import pytest

from send_whatsapp.contract.batch import Counts, Row, RowOutcome
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.contract.result import Outcome
from workflows.part_rows import PartRows, ReportSchedule

NOW = datetime(2027, 1, 31, tzinfo=UTC)


def rows(count: int) -> list[Row]:
    request = SendWhatsAppRequest(to="+1234567890", message="x")
    return [Row(row=n, key=f"k{n}", request=request) for n in range(1, count + 1)]


def ended(key: str, outcome: Outcome = "accepted") -> RowOutcome:
    return RowOutcome(row=1, key=key, to="+1", outcome=outcome)


def end_next(part: PartRows, count: int = 1) -> None:
    for _ in range(count):
        part.end(ended(part.start_next().key))


def test_a_row_waits_is_in_flight_and_ends() -> None:
    part = PartRows(rows(3), [ended("known", "unknown")])
    assert (part.waiting, part.in_flight) == (3, 0)
    assert part.counts == Counts(unknown=1, running=3)
    first = part.start_next()
    assert (first.key, part.waiting, part.in_flight) == ("k1", 2, 1)
    assert part.counts == Counts(unknown=1, running=3)
    part.end(ended("k1", "failed"))
    assert (part.waiting, part.in_flight) == (2, 0)
    assert part.counts == Counts(unknown=1, failed=1, running=2)


def test_the_next_rows_are_those_that_have_not_started() -> None:
    part = PartRows(rows(5))
    part.start_next()
    assert [row.key for row in part.next_rows(3)] == ["k2", "k3", "k4"]
    assert [row.key for row in part.next_rows(9)] == ["k2", "k3", "k4", "k5"]
    assert part.waiting == 4


def test_outcomes_are_in_the_order_of_the_part_and_settled_ones_follow() -> None:
    part = PartRows(rows(3), [ended("known")])
    for key in [part.start_next().key for _ in range(3)][::-1]:
        part.end(ended(key))
    assert [row.key for row in part.ended] == ["k3", "k2", "k1"]
    assert [row.key for row in part.outcomes] == ["k1", "k2", "k3", "known"]


@pytest.mark.parametrize(
    ("newly_ended", "seconds", "due"),
    [(0, 0, False), (0, 60, False), (1, 4, False), (24, 4, False), (25, 0, True), (1, 5, True)],
)
def test_a_report_is_due_after_25_rows_or_5_seconds(
    newly_ended: int, seconds: int, due: bool
) -> None:
    part, schedule = PartRows(rows(100)), ReportSchedule()
    schedule.reported(part, NOW)
    end_next(part, newly_ended)
    assert schedule.is_due(part, NOW + timedelta(seconds=seconds)) is due


def test_the_first_row_that_ends_is_reported_at_once() -> None:
    part, schedule = PartRows(rows(100)), ReportSchedule()
    assert not schedule.is_due(part, NOW)
    end_next(part)
    assert schedule.is_due(part, NOW)


def test_a_part_reports_once_that_all_rows_have_started() -> None:
    part, schedule = PartRows(rows(2)), ReportSchedule()
    schedule.reported(part, NOW)
    part.start_next()
    assert not schedule.is_due(part, NOW)
    part.start_next()
    assert schedule.is_due(part, NOW)
    schedule.reported(part, NOW)
    assert not schedule.is_due(part, NOW)
