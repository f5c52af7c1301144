"""When the rows of a part may start: control messages, pauses, consecutive failures, the rate."""

from typing import Any

import pytest

from send_whatsapp.contract.batch import RowOutcome
from send_whatsapp.contract.part_signals import PartControl
from send_whatsapp.contract.result import Outcome
from workflows.row_gate import RateAllowance, RowGate


def control(sequence: int, **fields: Any) -> PartControl:
    return PartControl(batch="batch", sequence=sequence, in_flight=2, pause_after=3, **fields)


def ended(outcome: Outcome, error_type: str | None = None) -> RowOutcome:
    return RowOutcome(row=2, key="k", to="+1", outcome=outcome, error_type=error_type)


FAILED = ended("failed", "ProviderRejected")
UNKNOWN = ended("unknown", "DeliveryUnknown")
UNAUTHORIZED = ended("failed", "Unauthorized")
ACCEPTED = ended("accepted")
CANCELLED = ended("cancelled", "Cancelled")


def test_no_row_starts_before_the_first_control_message() -> None:
    gate = RowGate()
    assert gate.room(0) == 0
    assert not gate.stopped


@pytest.mark.parametrize(
    ("messages", "in_flight", "room"),
    [
        ([control(1)], 0, 2),
        ([control(1)], 1, 1),
        ([control(1)], 2, 0),
        ([control(1)], 3, 0),
        ([control(1, paused=True)], 0, 0),
        ([control(1), control(2, paused=True)], 0, 0),
        ([control(1, paused=True), control(2)], 0, 2),
        # The resume was sent after the pause but arrived first.
        ([control(2), control(1, paused=True)], 0, 2),
        ([control(1, cancelled=True)], 0, 0),
        ([control(1, cancelled=True), control(2)], 0, 0),
    ],
)
def test_rows_start_as_the_latest_control_message_wants(
    messages: list[PartControl], in_flight: int, room: int
) -> None:
    gate = RowGate()
    for message in messages:
        gate.follow(message)
    assert gate.room(in_flight) == room


@pytest.mark.parametrize(("in_flight", "rows"), [(1, 1), (4, 1), (12, 3), (25, 6), (250, 6)])
def test_a_few_rows_wait_until_more_can_start_together(in_flight: int, rows: int) -> None:
    gate = RowGate()
    gate.follow(PartControl(batch="batch", sequence=1, in_flight=in_flight))
    assert gate.least_group == rows


def test_a_stopped_part_starts_no_row_and_keeps_the_first_reason() -> None:
    gate = RowGate()
    gate.follow(control(1))
    gate.stop("its batch was ended from outside")
    gate.follow(control(2, cancelled=True))
    assert gate.room(0) == 0
    assert gate.stop_reason == "its batch was ended from outside"


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([FAILED, FAILED], None),
        ([FAILED, FAILED, FAILED], "3 consecutive rows were not accepted"),
        ([FAILED, UNKNOWN, FAILED], "the last one with ProviderRejected"),
        ([FAILED, FAILED, UNKNOWN], "the last one with DeliveryUnknown"),
        ([FAILED, FAILED, ACCEPTED, FAILED], None),
        ([FAILED, FAILED, CANCELLED, FAILED], None),
        ([UNAUTHORIZED], "the provider refuses the key"),
    ],
)
def test_consecutive_failures_or_a_refused_key_pause_the_part(
    rows: list[RowOutcome], reason: str | None
) -> None:
    gate = RowGate()
    gate.follow(control(1))
    reasons = [gate.row_ended(row) for row in rows]
    assert reasons[:-1] == [None] * (len(rows) - 1)
    assert (reason or "") in (reasons[-1] or "")
    assert gate.paused is (reason is not None)


def test_a_paused_part_reports_its_pause_once() -> None:
    gate = RowGate()
    gate.follow(control(1))
    assert gate.row_ended(UNAUTHORIZED)
    assert gate.row_ended(UNAUTHORIZED) is None


@pytest.mark.parametrize(
    ("message", "paused"),
    [
        (control(2), True),
        (control(2, resumes=1), False),
        # The batch has been paused again since.
        (control(2, resumes=1, paused=True), True),
        # Sent before the pause, so the resume was not meant for it.
        (control(0, resumes=1), True),
    ],
)
def test_only_a_later_resume_ends_the_pause_of_a_part(message: PartControl, paused: bool) -> None:
    gate = RowGate()
    gate.follow(control(1))
    gate.row_ended(UNAUTHORIZED)
    gate.follow(message)
    assert gate.paused is paused


@pytest.mark.parametrize(
    ("per_minute", "rows", "tick_s"),
    [(30, 1, 2), (60, 1, 1), (90, 2, 4 / 3), (600, 10, 1), (1, 1, 60), (0.5, 1, 120)],
)
def test_a_tick_allows_its_rows_and_lasts_as_long_as_the_rate_needs(
    per_minute: float, rows: int, tick_s: float
) -> None:
    allowance = RateAllowance()
    allowance.set_rate(per_minute)
    assert allowance.take(1) == 0
    assert allowance.tick_s == pytest.approx(tick_s)
    allowance.next_tick()
    assert allowance.take(rows + 5) == rows
    assert allowance.take(1) == 0
    allowance.next_tick()
    assert [allowance.take(1) for _ in range(rows + 1)] == [1] * rows + [0]


def test_without_a_rate_every_row_may_start() -> None:
    allowance = RateAllowance()
    assert allowance.take(1000) == 1000


def test_a_control_message_with_another_rate_begins_a_new_tick() -> None:
    gate = RowGate()
    gate.follow(control(1, per_minute=600))
    gate.allowance.next_tick()
    assert gate.allowance.take(1) == 1
    gate.follow(control(2, per_minute=600))
    assert gate.allowance.take(1) == 0
    gate.follow(control(3))
    assert gate.allowance.take(1) == 1


def test_people_who_have_opted_out_neither_pause_the_part_nor_hide_other_failures() -> None:
    gate = RowGate()
    gate.follow(control(1))
    opted_out = ended("failed", "OptedOut")
    assert [gate.row_ended(row) for row in [opted_out] * 9] == [None] * 9
    rows = [FAILED, opted_out, FAILED, opted_out, FAILED]
    assert [bool(gate.row_ended(row)) for row in rows] == [False] * 4 + [True]
