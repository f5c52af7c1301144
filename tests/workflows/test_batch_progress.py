"""Which part of a batch may start next, how rows are counted, and what control messages say."""

from typing import Any

import pytest

from send_whatsapp.contract.batch import Counts, Row
from send_whatsapp.contract.part_signals import PartProgress
from send_whatsapp.contract.parts import BatchInput
from send_whatsapp.contract.request import SendWhatsAppRequest
from workflows.batch_progress import MAX_PARTS, BatchProgress, HistoryBudget, SilentParts


def batch(*parts: int, known: int = 0, **fields: Any) -> BatchProgress:
    """Return a batch whose parts send so many rows; the last one may hold known outcomes."""
    counts = [Counts(running=rows) for rows in parts]
    return BatchProgress(
        BatchInput(key="k", parts=[*counts, *([Counts(accepted=known)] if known else [])], **fields)
    )


def start_all(progress: BatchProgress) -> int:
    """Start parts until no other part may start; return how many have started."""
    started = 0
    while progress.may_start_part():
        progress.start_part()
        started += 1
    return started


def report(progress: BatchProgress, part: int, counts: Counts, **fields: Any) -> None:
    progress.report(PartProgress(part=progress.part_id(part), counts=counts, **fields))


@pytest.mark.parametrize(
    ("parts", "fields", "started"),
    [
        ([250] * 10, {}, 4),
        ([250] * 10, {"in_flight": 400}, 4),
        ([250] * 10, {"in_flight": 60}, 2),
        ([250] * 10, {"in_flight": 1}, 1),
        ([10] * 50, {}, 10),
        ([10] * 50, {"in_flight": 1000}, MAX_PARTS),
        ([250, 10], {}, 2),
        ([250] * 10, {"per_minute": 600}, 1),
    ],
)
def test_parts_start_until_their_rows_in_flight_are_those_of_the_batch(
    parts: list[int], fields: dict[str, Any], started: int
) -> None:
    assert start_all(batch(*parts, **fields)) == started


@pytest.mark.parametrize(
    ("in_flight", "share"), [(1, 1), (24, 24), (25, 25), (60, 30), (100, 25), (400, 100)]
)
def test_a_part_has_a_quarter_of_the_rows_in_flight_or_one_group(
    in_flight: int, share: int
) -> None:
    assert batch(250, in_flight=in_flight).control("b", "p").in_flight == share


@pytest.mark.parametrize(
    ("in_flight", "retrying", "starts"), [(25, 0, False), (1, 0, False), (0, 249, True)]
)
def test_the_next_part_starts_when_a_part_has_no_row_in_flight(
    in_flight: int, retrying: int, starts: bool
) -> None:
    progress = batch(*[250] * 10)
    start_all(progress)
    counts = Counts(accepted=1, running=249)
    report(progress, 0, counts, in_flight=in_flight, retrying=retrying)
    assert progress.may_start_part() is starts


def test_no_part_starts_while_many_rows_wait_for_another_attempt() -> None:
    progress = batch(*[250] * 10)
    start_all(progress)
    reason = "could not send a message: HTTP 503"
    for part in range(2):
        counts = Counts(running=250)
        report(progress, part, counts, retrying=250, retry_reason=reason)
    assert (progress.state.retrying, progress.state.retry_reason) == (500, reason)
    assert not progress.may_start_part()
    report(progress, 0, Counts(accepted=1, running=249), retrying=249, retry_reason=reason)
    assert progress.may_start_part()


def test_with_a_rate_the_next_part_starts_when_no_row_waits() -> None:
    progress = batch(250, 250, per_minute=600)
    start_all(progress)
    report(progress, 0, Counts(accepted=200, running=50), waiting=1)
    assert not progress.may_start_part()
    report(progress, 0, Counts(accepted=200, running=50), waiting=0)
    assert progress.may_start_part()


def test_a_paused_batch_starts_no_part_and_a_cancelled_batch_starts_all() -> None:
    progress = batch(*[250] * 10)
    progress.pause("an operator paused it")
    assert start_all(progress) == 0
    progress.checkpoint.cancelled = True
    assert start_all(progress) == 10


def test_every_row_is_counted_from_the_start_to_the_end() -> None:
    progress = batch(3, 2, known=4)
    assert progress.state.counts == Counts(accepted=4, running=5)
    start_all(progress)
    assert progress.state.counts == Counts(accepted=4, running=5)
    report(progress, 0, Counts(accepted=1, failed=1, running=1))
    assert progress.state.counts == Counts(accepted=5, failed=1, running=3)
    report(progress, 0, Counts(accepted=2, failed=1), ended=True)
    report(progress, 2, Counts(accepted=4), ended=True)
    assert not progress.finished
    report(progress, 1, Counts(unknown=2), ended=True)
    assert progress.state.counts == Counts(accepted=6, failed=1, unknown=2)
    assert progress.finished


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (Counts(unknown=1, cancelled=2), Counts(unknown=1, cancelled=2)),
        # The starter never started it.
        (Counts(), Counts(cancelled=3)),
    ],
)
def test_a_part_that_ended_from_outside_is_counted_by_its_history(
    counts: Counts, expected: Counts
) -> None:
    progress = batch(3)
    progress.end_part(progress.start_part(), counts)
    assert progress.state.counts == expected
    assert progress.finished


def test_rows_in_the_input_are_split_into_parts() -> None:
    request = SendWhatsAppRequest(to="+1234567890", message="x")
    rows = [Row(row=n, key=f"k{n}", request=request) for n in range(1, 301)]
    state = BatchProgress(BatchInput(key="k", rows=rows)).state
    assert (state.part_count, state.counts) == (2, Counts(running=300))


def test_control_messages_are_numbered_and_divide_rows_in_flight_and_rate() -> None:
    progress = batch(250, 250, 250, in_flight=100, pause_after=7, per_minute=600)
    for _ in range(2):
        progress.start_part()
    first, second = progress.control("batch-k", "p"), progress.control("batch-k", "p")
    assert (first.sequence, second.sequence) == (1, 2)
    assert (first.batch, first.in_flight, first.pause_after) == ("batch-k", 25, 7)
    assert first.per_minute == 300
    # A part whose rows have all started needs no share of the rate.
    report(progress, 0, Counts(running=250), waiting=0)
    assert progress.control("batch-k", "p").per_minute == 600


def test_a_resume_is_counted_only_after_a_pause() -> None:
    progress = batch(1)
    progress.resume()
    assert progress.control("b", "p").resumes == 0
    progress.pause("an operator paused it")
    paused = progress.control("b", "p")
    assert (paused.paused, paused.resumes) == (True, 0)
    assert progress.state.pause_reason == "an operator paused it"
    progress.resume()
    resumed = progress.control("b", "p")
    assert (resumed.paused, resumed.resumes) == (False, 1)
    assert progress.state.pause_reason is None


def test_the_next_run_continues_where_this_one_is() -> None:
    progress = batch(3, 2, 4, per_minute=600)
    progress.start_part()
    report(progress, 0, Counts(accepted=2, running=1), waiting=0)
    progress.start_part()
    report(progress, 0, Counts(accepted=3), ended=True)
    progress.control("b", "p")
    progress.pause("an operator paused it")
    request = progress.next_input()
    # As Temporal hands it over.
    following = BatchProgress(
        BatchInput.model_validate_json(request.model_dump_json(by_alias=True))
    )
    assert following.state == progress.state
    assert following.running == progress.running == (progress.part_id(1),)
    assert following.control("b", "p").sequence == 2
    following.resume()
    report(following, 1, Counts(accepted=2), ended=True)
    assert following.start_part() == progress.part_id(2)


@pytest.mark.parametrize(
    ("paused", "cancelled", "running", "expected"),
    [
        (False, False, True, True),
        (True, False, True, False),
        (True, True, True, True),
        (False, False, False, False),
    ],
)
def test_parts_are_expected_to_report_unless_their_rows_wait(
    paused: bool, cancelled: bool, running: bool, expected: bool
) -> None:
    progress = batch(1)
    if running:
        progress.start_part()
    progress.checkpoint.paused, progress.checkpoint.cancelled = paused, cancelled
    assert progress.expects_reports is expected


def test_a_part_is_silent_after_two_checks_without_a_report() -> None:
    silent = SilentParts()
    assert silent.check(["a", "b"]) == []
    silent.reported("a")
    assert silent.check(["a", "b"]) == ["b"]
    assert silent.check(["a", "b"]) == ["a", "b"]


def test_a_budget_is_spent_after_its_steps() -> None:
    budget = HistoryBudget(2)
    budget.spend()
    assert not budget.is_spent
    budget.spend()
    assert budget.is_spent
