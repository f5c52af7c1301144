"""The parts of the benchmark: process trees, counts of the inbox, targets and charts."""

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from xml.etree import ElementTree

import pytest

from bench import report
from bench.charts import bars
from bench.comparison import KINDS
from bench.figures import spread
from bench.peers import truth
from bench.peers.systems import PLAIN
from bench.processes import Program
from bench.stage import Stage
from bench.targets import targets
from tests.conftest import until

BUSY = "import time; started = time.process_time()\nwhile time.process_time() - started < 0.3: pass"


async def test_cpu_time_includes_children_that_have_ended(tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    code = f"import subprocess, sys, pathlib; subprocess.run([sys.executable, '-c', {BUSY!r}])\n"
    code += f"pathlib.Path({str(ended)!r}).touch(); input()"
    program = Program([sys.executable, "-c", code], stdin=-1)
    try:
        await until(ended.exists)
        assert 0.3 <= program.cpu_seconds() < 5
        assert program.memory_mib() > 1
    finally:
        program.kill()


async def test_a_kill_also_ends_grandchildren(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    child = (
        f"import os, pathlib; pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid())); input()"
    )
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    program = Program([sys.executable, "-c", code], stdin=-1)
    await until(lambda: pid_file.exists() and pid_file.read_text())
    program.kill()
    assert not program.running
    status = Path(f"/proc/{pid_file.read_text()}/status")
    await until(lambda: not status.exists() or "zombie" in status.read_text())


SENDS = 600
"""More than are sent before the first kill, even on an idle machine."""


@pytest.mark.parametrize(
    ("trial", "lost", "doubled"), [("killed", True, False), ("lostAnswers", False, True)]
)
async def test_plain_asyncio_loses_its_queue_and_doubles_sends_without_a_response(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trial: str, lost: bool, doubled: bool
) -> None:
    # Its retries happen within 7 s.
    monkeypatch.setattr(truth, "QUIET_AFTER_KILLS_S", 2)
    monkeypatch.setattr(truth, "QUIET_S", 9)
    stage = cast(Stage, SimpleNamespace(folder=tmp_path))
    async with asyncio.timeout(90):
        found = await truth.run_peer(stage, PLAIN, trial, SENDS)
    assert sum(found[part] for part in ("once", "doubled", "lost")) == SENDS
    assert (found["lost"] > 0, found["doubled"] > 0) == (lost, doubled)
    assert found["unknown"] is None


def test_percentiles_are_measured_values() -> None:
    assert spread([n / 1000 for n in range(1, 101)]) == {"p50": 50, "p95": 95, "p99": 99}
    assert spread([0.007]) == {"p50": 7, "p95": 7, "p99": 7}


SLOW = {
    "cached": {"sendP99Ms": 1999},
    "known": {"resolutionP99Ms": 499, "sendP99Ms": 1999},
    "new": {"providerMs": 900, "resolutionP99Ms": 999, "sendP99Ms": 1999},
}


def batch(ratio: float, cpu: float) -> dict[str, Any]:
    found = {"batch": {"cpu": cpu}, "rateRatio": {"plain asyncio, 50 in flight": ratio}}
    return {"known contacts": found}


def peers(celery: float, restate: float) -> dict[str, Any]:
    rates = {"plain asyncio": 100.0, "Celery": celery, "Restate": restate}
    return {name: {"perSecond": rate} for name, rate in rates.items()}


@pytest.mark.parametrize(
    ("results", "met"),
    [
        (
            {"comparison": {k: {"cpuRatio": 0.6, "rateRatio": 1.5} for k in KINDS}},
            ["yes"] * 2 * len(KINDS),
        ),
        (
            {"comparison": {k: {"cpuRatio": 0.61, "rateRatio": 1.49} for k in KINDS}},
            ["**no**"] * 2 * len(KINDS),
        ),
        ({"slowProvider": SLOW}, ["yes"] * 5),
        (
            {"slowProvider": SLOW | {"known": {"resolutionP99Ms": 500, "sendP99Ms": 2000}}},
            ["**no**", "yes", "yes", "**no**", "yes"],
        ),
        ({"burst": {"sends": 9, "statuses": {"COMPLETED": 9}, "timeoutsInSample": 0}}, ["yes"]),
        ({"burst": {"sends": 9, "statuses": {"COMPLETED": 8}, "timeoutsInSample": 0}}, ["**no**"]),
        ({"burst": {"sends": 9, "statuses": {"COMPLETED": 9}, "timeoutsInSample": 1}}, ["**no**"]),
        ({"batch": batch(0.95, 3.0)}, ["yes"] * 4),
        ({"batch": batch(0.85, 3.5)}, ["yes", "**no**", "yes", "**no**"]),
        ({"batch": batch(0.84, 3.51)}, ["**no**"] * 4),
        ({"batch": batch(0.95, 3.0), "peers": peers(94, 94)}, ["yes"] * 6),
        ({"batch": batch(0.95, 3.0), "peers": peers(95, 94)}, [*["yes"] * 4, "**no**", "yes"]),
        ({"soak": {"sends": 9, "workerMiB": [80, 100, 104]}}, ["yes"]),
        ({"soak": {"sends": 9, "workerMiB": [80, 100, 105]}}, ["**no**"]),
    ],
)
def test_a_target_is_met_only_within_its_limit(results: dict[str, Any], met: list[str]) -> None:
    assert [line[2] for line in targets(results)] == met


def test_the_length_of_a_bar_is_its_value() -> None:
    chart = ElementTree.fromstring(
        bars("A & B", "ms", {"one": {"x": 5.0, "y": 5.0}, "two": {"x": 5}})
    )
    rects = [r for r in chart.iter() if r.tag.endswith("rect") and len(r)]
    widths = [float(rect.attrib["width"]) for rect in rects]
    assert widths[0] == widths[1] == widths[2] > 100


def test_a_page_without_markers_is_an_error(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing here")
    with pytest.raises(ValueError, match="no markers for the table soak"):
        report.write({"soak": {"sends": 10, "workerMiB": [1, 1]}}, page, tmp_path)
