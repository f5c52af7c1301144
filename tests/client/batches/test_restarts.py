"""The rules for starting a key again, case by case."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from send_whatsapp.client.batches.packed_rows import PackedRows
from send_whatsapp.client.batches.restarts import (
    is_sending,
    plan_restart,
    split_settled,
)
from send_whatsapp.client.batches.runs import BatchRun
from send_whatsapp.client.errors import KeyConflict
from send_whatsapp.contract.batch import REJECTED, Counts, Row, RowOutcome
from send_whatsapp.contract.parts import BatchCheckpoint, BatchInput
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.contract.result import Outcome

SAME = "digest of the rows"


def row(key: str, line: int = 2, **fields: Any) -> Row:
    request = SendWhatsAppRequest(to="+1234567890", message="x", **fields)
    return Row(row=line, key=key, request=request)


def rows(keys: str) -> list[Row]:
    return [row(key, line) for line, key in enumerate(keys, 2)]


def was(key: str, outcome: Outcome, line: int = 2, **fields: Any) -> RowOutcome:
    return RowOutcome(row=line, key=key, to="+1", outcome=outcome, **fields)


def run(*, running: bool, generation: int = 1, **fields: Any) -> BatchRun:
    request = BatchInput(
        key="k", digest=SAME, generation=generation, parts=[Counts(running=1)], **fields
    )
    return BatchRun(request, running=running)


@pytest.mark.parametrize(
    ("previous", "sending"),
    [
        (None, False),
        (run(running=False), False),
        # Perhaps its start was interrupted: start the missing parts.
        (run(running=True), False),
        (run(running=True, checkpoint=BatchCheckpoint(complete=True)), True),
    ],
)
def test_a_start_has_nothing_to_do_once_the_running_batch_has_all_parts(
    previous: BatchRun | None, sending: bool
) -> None:
    assert is_sending(previous, "k", SAME) is sending


def test_other_rows_are_refused_while_a_batch_runs() -> None:
    with pytest.raises(KeyConflict, match="still sending other rows"):
        is_sending(run(running=True), "k", "another digest")
    assert not is_sending(run(running=False), "k", "another digest")


@dataclass
class Case:
    """A start of the rows `keys`; the plan is (generation, rows to send, rows kept) or None."""

    keys: str
    plan: tuple[int, str, str] | None
    previous: BatchRun | None = None
    known: list[RowOutcome] = field(default_factory=list)
    invalid: list[RowOutcome] = field(default_factory=list)
    resend_unknown: bool = False
    whole: bool = True


ENDED = run(running=False)
INVALID = was(f"{REJECTED}9", "failed", 9, error="to: not a number")


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(Case("ab", (1, "ab", "")), id="the first start sends every row"),
        pytest.param(
            Case("ab", (1, "ab", ""), run(running=True)),
            id="an interrupted first start is repeated",
        ),
        pytest.param(
            Case("ab", (3, "b", "a"), run(running=True, generation=3), [was("a", "accepted")]),
            id="an interrupted later start is repeated with what the runs before it did",
        ),
        pytest.param(
            Case("ab", (2, "b", "a"), ENDED, [was("a", "accepted"), was("b", "failed", 3)]),
            id="a failed row is sent again, an accepted one is not",
        ),
        pytest.param(
            Case("ab", (2, "b", "a"), ENDED, [was("a", "unknown"), was("b", "cancelled", 3)]),
            id="a cancelled row is sent, an unknown one is not",
        ),
        pytest.param(
            Case("ab", (2, "ab", ""), ENDED, [was("a", "unknown")], resend_unknown=True),
            id="an unknown row is sent again on request",
        ),
        pytest.param(
            Case("ab", (2, "b", "a"), ENDED, [was("a", "accepted")]), id="a new row is sent"
        ),
        pytest.param(
            Case("a", None, ENDED, [was("a", "accepted")]),
            id="nothing starts if every row is accepted",
        ),
        pytest.param(
            Case("ba", (2, "", "ab"), ENDED, [was("a", "accepted"), was("b", "accepted", 3)]),
            id="another order changes the report",
        ),
        pytest.param(
            Case("a", (2, "", "ab"), ENDED, [was("a", "accepted"), was("b", "accepted", 3)]),
            id="a row that is missing in the file changes the report",
        ),
        pytest.param(
            Case("b", (2, "b", "a"), ENDED, [was("a", "failed", 3), was("b", "failed")]),
            id="a failed row that is missing in the file is kept and not sent",
        ),
        pytest.param(
            Case("", (2, "", "9"), ENDED, [], [INVALID]),
            id="another invalid row changes the report",
        ),
        pytest.param(
            Case("", None, ENDED, [INVALID], [INVALID]),
            id="the same invalid row changes nothing",
        ),
    ],
)
def test_earlier_outcomes_decide_what_a_start_sends(case: Case) -> None:
    plan = plan_restart(
        case.previous,
        rows(case.keys),
        case.invalid,
        case.known,
        resend_unknown=case.resend_unknown,
        is_whole_file=case.whole,
    )
    if case.plan is None:
        assert plan is None
        return
    assert plan is not None
    sent = "".join(row.key for row in plan.rows)
    kept = "".join(row.key.removeprefix(REJECTED) for row in plan.known)
    assert (plan.generation, sent, kept) == case.plan


@pytest.mark.parametrize(
    ("whole", "known", "line", "removed"),
    [
        (True, was("a", "accepted", 7), 7, True),
        # `retry-failed` sends some rows of the file; the others are still in it.
        (False, was("a", "accepted", 7), 7, False),
        (False, was("a", "accepted", 7, removed=True), 7, True),
    ],
)
def test_a_row_that_is_not_among_the_rows_keeps_its_line(
    whole: bool, known: RowOutcome, line: int, removed: bool
) -> None:
    _, [kept] = split_settled(rows("b"), [known], resend_unknown=False, is_whole_file=whole)
    assert (kept.row, kept.removed) == (line, removed)


def test_an_accepted_row_gets_its_line_in_the_latest_file() -> None:
    known = was("b", "accepted", 9, removed=True)
    _, [kept] = split_settled(rows("ab"), [known], resend_unknown=False, is_whole_file=True)
    assert (kept.row, kept.removed) == (3, False)


def test_an_invalid_row_of_an_earlier_file_is_forgotten() -> None:
    assert split_settled([], [INVALID], resend_unknown=False, is_whole_file=True) == ([], [])


def test_a_digest_ignores_times_and_nothing_else() -> None:
    later = row("a", expires_at="2027-01-31T09:00:00Z")
    assert PackedRows([row("a")]).digest([]) == PackedRows([later]).digest([])
    others = [
        PackedRows([row("b")]).digest([]),
        PackedRows([row("a", 3)]).digest([]),
        PackedRows([row("a", delivery="at_most_once")]).digest([]),
        PackedRows([row("a")]).digest([INVALID]),
    ]
    assert len({PackedRows([row("a")]).digest([]), *others}) == 5
