"""What `make batch-proof` concludes from the report, the simulator's times and the kills."""

from typing import Any

import pytest

from bench.verdict import Kill, broken_promises, compare, seen_sends
from send_whatsapp.contract.batch import Counts, Row, RowOutcome
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.contract.result import Outcome

KILL = Kill(began=100.0, ended=100.1)


def rows(count: int) -> list[Row]:
    return [
        Row(
            row=number,
            key=f"k{number}",
            request=SendWhatsAppRequest(to=f"+49151{number:08d}", message="x"),
        )
        for number in range(2, count + 2)
    ]


def verdict(
    outcome: Outcome,
    requests: list[float],
    arrivals: list[float],
    kills: list[Kill],
    *,
    count: int = 1,
    in_flight: int = 100,
    twice_allowed: bool = False,
    **found: Any,
) -> list[str]:
    """Return the broken promises of a batch in which this happened to each row."""
    batch = rows(count)
    report = [
        RowOutcome(row=row.row, key=row.key, to=row.request.to, outcome=outcome) for row in batch
    ]
    seen = [
        {"path": f"contacts/{row.to.removeprefix('+')}/send/text", "at": at}
        for row in report
        for at in requests
    ]
    inbox = [{"phone": row.to, "at": at} for row in report for at in arrivals]
    usual = {"wrongStatus": [], "pauses": [], "mostEvents": 100}
    compared = compare(batch, report, Counts.of(report), seen_sends(seen, inbox), kills)
    return broken_promises(
        compared | usual | found, in_flight=in_flight, twice_allowed=twice_allowed
    )


@pytest.mark.parametrize(
    ("requests", "arrivals", "kills", "broken"),
    [
        pytest.param([99.9], [99.95], [KILL], [], id="arrived just before the kill"),
        pytest.param([97.9], [98.1], [KILL], [], id="arrived less than 2 s before the kill"),
        pytest.param([97.8], [97.9], [KILL], ["unknownWithoutKill"], id="arrived 2.1 s before it"),
        pytest.param([85.0], [105.0], [KILL], [], id="in flight at the kill"),
        pytest.param([99.9], [], [KILL], [], id="received but never arrived"),
        pytest.param([], [], [KILL], [], id="never received, since its group was lost"),
        pytest.param([101.0], [101.1], [KILL], ["unknownWithoutKill"], id="sent after the kill"),
        pytest.param([99.9], [99.9], [], ["unknownWithoutKill", "unknown"], id="without a kill"),
        pytest.param([], [], [], ["unknown"], id="never received, without a kill"),
    ],
)
def test_a_row_may_be_unknown_only_if_a_kill_explains_it(
    requests: list[float], arrivals: list[float], kills: list[Kill], broken: list[str]
) -> None:
    assert verdict("unknown", requests, arrivals, kills) == broken


@pytest.mark.parametrize(
    ("requests", "arrivals", "twice_allowed", "broken"),
    [
        ([99.9, 120.0], [99.9, 120.0], True, []),
        ([99.9, 120.0], [99.9, 120.0], False, ["doubled"]),
        ([97.0, 120.0], [97.1, 120.0], True, ["doubledWithoutKill"]),
        ([85.0, 104.0], [105.0, 104.1], True, []),
    ],
)
def test_a_row_may_arrive_twice_only_under_at_least_once_and_after_a_kill(
    requests: list[float], arrivals: list[float], twice_allowed: bool, broken: list[str]
) -> None:
    found = verdict("accepted", requests, arrivals, [KILL], twice_allowed=twice_allowed)
    assert found == broken


@pytest.mark.parametrize(
    ("count", "kills", "broken"),
    [
        (10, [KILL], []),
        (11, [KILL], ["lostPerKill", "unknown"]),
        (11, [KILL, Kill(200.0, 200.1)], ["lostPerKill"]),
    ],
)
def test_a_kill_may_lose_no_more_rows_than_are_in_flight(
    count: int, kills: list[Kill], broken: list[str]
) -> None:
    assert verdict("unknown", [99.9], [99.9], kills, count=count, in_flight=10) == broken


@pytest.mark.parametrize(
    ("found", "broken"),
    [
        ({}, []),
        ({"pauses": ["20 consecutive rows were not accepted"]}, ["pauses"]),
        ({"wrongStatus": ["3 accepted, but 2 arrived"]}, ["wrongStatus"]),
        ({"mostEvents": 10_240}, ["mostEvents"]),
        ({"missing": 1}, ["missing"]),
    ],
)
def test_what_else_must_not_happen(found: dict[str, Any], broken: list[str]) -> None:
    assert verdict("accepted", [50.0], [50.0], [KILL], **found) == broken


@pytest.mark.parametrize("outcome", ["failed", "cancelled"])
def test_what_arrived_must_not_be_denied(outcome: Outcome) -> None:
    assert verdict(outcome, [50.0], [50.0], [KILL]) == ["arrivedButDenied"]
    assert verdict(outcome, [50.0], [], [KILL]) == []


def test_what_is_reported_as_accepted_must_have_arrived() -> None:
    assert verdict("accepted", [50.0], [], [KILL]) == ["acceptedButNotArrived"]
