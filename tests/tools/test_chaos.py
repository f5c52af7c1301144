"""A short chaos run keeps every promise, and the report names a broken one."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from send_whatsapp.contract.fields import Delivery
from send_whatsapp.contract.result import Outcome
from tools.chaos import chaos
from tools.chaos_report import Report, Sent, show


@pytest.mark.timeout(300)
async def test_a_short_run_keeps_every_promise(tmp_path: Path) -> None:
    report = await chaos(tmp_path, seed=5, count=30, in_flight=15, workers=2, faults_s=20)
    assert not report.broken
    assert sum(report.faults.values())
    assert {one.outcome for one in report.sent} > {"accepted"}


@pytest.mark.parametrize(
    ("delivery", "outcome", "arrived", "broken"),
    [
        ("at_most_once", "accepted", 1, None),
        ("at_most_once", "accepted", 0, "nothing arrived"),
        ("at_most_once", "accepted", 2, "arrived twice"),
        ("at_most_once", "unknown", 0, None),
        ("at_most_once", "unknown", 1, None),
        ("at_most_once", "unknown", 2, "arrived twice"),
        ("at_most_once", "failed", 1, "failed, but it arrived"),
        ("at_most_once", "cancelled", 1, "cancelled, but it arrived"),
        ("at_most_once", "running", 0, "did not close"),
        ("at_least_once", "accepted", 2, None),
        ("at_least_once", "accepted", 0, "nothing arrived"),
        ("at_least_once", "failed", 1, "failed, but it arrived"),
        ("at_least_once", "cancelled", 0, None),
    ],
)
def test_the_report_names_each_broken_promise_and_its_run(
    delivery: Delivery, outcome: Outcome, arrived: int, broken: str | None
) -> None:
    report = Report(seed=1, sent=[Sent("chaos-1-7", delivery, "+49160", outcome, arrived)])
    printed = io.StringIO()
    show(report, Console(file=printed, width=200))
    assert bool(report.broken) == bool(broken)
    assert ("BROKEN chaos-1-7" in printed.getvalue()) == bool(broken)
    assert (broken or "every promise kept") in printed.getvalue()
