"""The quick benchmark: it runs, its results are consistent, and the page shows them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import report
from bench.comparison import KINDS
from tests.conftest import ROOT

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def quick() -> dict[str, Any]:
    command = [sys.executable, "-m", "bench", "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("kind", "calls"),
    [
        ("text, cached contact", 1),
        ("text, new contact", 4),
        ("template, cached contact", 1),
        ("template, new contact", 4),
    ],
)
def test_the_steps_of_a_send_add_up_to_its_time(
    quick: dict[str, Any], kind: str, calls: int
) -> None:
    found = quick["latency"][kind]
    assert found["providerCalls"] == calls
    steps = dict(found["steps"])
    assert sum(steps.values()) >= steps.pop("start to close") >= max(steps.values())
    assert found["actions"]["all"] >= 3


def test_every_send_of_a_burst_is_accepted_and_arrives(quick: dict[str, Any]) -> None:
    found = quick["burst"]
    assert found["statuses"] == {"COMPLETED": found["sends"]}
    assert found["arrived"] == found["sends"]
    assert found["timeoutsInSample"] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_our_worker_and_the_naive_one_send_the_same_number(
    quick: dict[str, Any], kind: str
) -> None:
    found = quick["comparison"][kind]
    assert found["ours"]["sends"] == found["naive"]["sends"] > 0
    assert found["cpuRatio"] > 0
    assert found["rateRatio"] > 0


def test_a_batch_is_measured_beside_plain_asyncio(quick: dict[str, Any]) -> None:
    for kind in ("known contacts", "one row in fifty takes 1 s"):
        found = quick["batch"][kind]
        assert found["batch"]["sends"] == found["plain asyncio, 50 in flight"]["sends"] > 0
        assert found["batch"]["cpu"] > found["plain asyncio, 50 in flight"]["cpu"]
        assert found["rateRatio"]["plain asyncio, 50 in flight"] > 0
    assert quick["batch"]["new contacts"]["batch"]["perSecond"] > 0
    assert quick["batch"]["urgent"]["sendsBesideABatch"] > 0
    soaked = quick["batchSoak"]
    assert soaked["most"]["workerMiB"] >= soaked["before"]["workerMiB"] > 0


def test_a_standalone_activity_needs_less_cpu_than_a_workflow(quick: dict[str, Any]) -> None:
    found = quick["standalone"]
    assert found["workflow"]["sends"] == found["standalone activity"]["sends"] > 0
    assert found["workflow"]["cpu"] > found["standalone activity"]["cpu"]


def test_plain_asyncio_needs_the_least_cpu(quick: dict[str, Any]) -> None:
    plain, ours = quick["peers"]["plain asyncio"], quick["peers"]["ours"]
    assert plain["cpuSecondsPer1000"]["worker"] < ours["cpuSecondsPer1000"]["worker"]


def test_the_page_shows_what_was_measured(quick: dict[str, Any], tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    shutil.copy(report.PAGE, page)
    report.write(quick, page, tmp_path)
    added = quick["latency"]["text, new contact"]["addedMs"]["p50"]
    assert f"| text, new contact | 4.0 | 200 | {added:,} |" in page.read_text()
    assert {path.name for path in tmp_path.glob("*.svg")} == {"steps.svg", "rate.svg", "cpu.svg"}
    written = page.read_text()
    report.write(quick, page, tmp_path)
    assert page.read_text() == written
