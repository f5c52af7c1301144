"""Rows of a batch by outcome."""

import pytest

from send_whatsapp.contract.batch import Counts, RowOutcome
from send_whatsapp.contract.result import Outcome


def test_rows_are_counted_by_outcome() -> None:
    outcomes: list[Outcome] = ["accepted", "failed", "accepted", "running"]
    rows = [RowOutcome(row=1, key="k", to="+1", outcome=outcome) for outcome in outcomes]
    counts = Counts.of(rows)
    assert counts == Counts(accepted=2, failed=1, running=1)
    assert (counts.ended, counts.total) == (3, 4)


def test_counts_are_added_and_subtracted() -> None:
    both = Counts(accepted=1, running=2) + Counts(accepted=3, unknown=1)
    assert both == Counts(accepted=4, unknown=1, running=2)
    assert both - Counts(accepted=3, unknown=1) == Counts(accepted=1, running=2)


@pytest.mark.parametrize(
    ("counts", "outcome"),
    [
        (Counts(), "accepted"),
        (Counts(accepted=9), "accepted"),
        (Counts(accepted=9, cancelled=1), "cancelled"),
        (Counts(cancelled=1, failed=1), "failed"),
        (Counts(failed=1, unknown=1), "unknown"),
        (Counts(unknown=1, running=1), "running"),
    ],
)
def test_the_worst_outcome_is_that_of_the_batch(counts: Counts, outcome: str) -> None:
    assert counts.outcome == outcome


@pytest.mark.parametrize(
    ("counts", "summary"),
    [
        (
            Counts(accepted=1200, failed=1, running=9),
            "1,201 of 1,210: 1,200 accepted, 1 failed, 0 unknown",
        ),
        (
            Counts(accepted=1, cancelled=2),
            "3 of 3: 1 accepted, 0 failed, 0 unknown, 2 cancelled",
        ),
    ],
)
def test_counts_have_a_summary(counts: Counts, summary: str) -> None:
    assert counts.summary() == summary
