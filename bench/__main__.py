"""`make bench`: measures, and updates bench/results/latest.json and docs/performance.md."""

import argparse
import asyncio
import json
import os
import platform
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from bench import (
    batches,
    comparison,
    latency,
    report,
    scale,
    slow_provider,
    soak,
    standalone,
    throughput,
    turns,
)
from bench.figures import Results
from bench.peers import speed, truth
from bench.peers.systems import PEERS, PLAIN
from bench.stage import Stage, stage
from tools import system_packages
from tools.dev_server import ROOT
from tools.temporal_cli import VERSION

SAVED = ROOT / "bench" / "results" / "latest.json"

Part = Callable[[Stage], Awaitable[Results]]

FULL: dict[str, Part] = {
    "latency": lambda stage: latency.measure(stage, sends=100),
    "throughput": lambda stage: throughput.measure(stage, sends=1500),
    "comparison": lambda stage: comparison.measure(stage, sends=200),
    "standalone": lambda stage: standalone.measure(stage, sends=300),
    "slowProvider": lambda stage: slow_provider.measure(stage, sends=1000),
    "burst": lambda stage: throughput.burst(stage, sends=5000),
    "batch": lambda stage: batches.measure(stage, rows=5000),
    "turns": lambda stage: turns.measure(stage, sends=200, rows=1000),
    "scale": lambda stage: scale.measure(stage, sends=500),
    "peers": lambda stage: speed.measure(stage, sends=1000, peers=PEERS),
    "truth": lambda stage: truth.measure(stage, sends=600, peers=PEERS),
    "soak": lambda stage: soak.measure(stage, sends=20_000),
    "batchSoak": lambda stage: batches.soak(stage, rows=20_000),
}
LONG = ("soak", "batchSoak")
"""Parts that run only if they are named, since they take as long as all others together."""

PEER_PARTS = ("peers", "truth")
"""Parts that run other systems, which need these Debian packages."""

PEER_PACKAGES = ("npm", "postgresql", "redis-server")

QUICK: dict[str, Part] = {
    "latency": lambda stage: latency.measure(stage, sends=2),
    "throughput": lambda stage: throughput.measure(stage, sends=10),
    "comparison": lambda stage: comparison.measure(stage, sends=5),
    "standalone": lambda stage: standalone.measure(stage, sends=5),
    "burst": lambda stage: throughput.burst(stage, sends=20),
    "batch": lambda stage: batches.measure(stage, rows=20),
    "batchSoak": lambda stage: batches.soak(stage, rows=20),
    "turns": lambda stage: turns.measure(stage, sends=10, rows=20, rounds=1),
    "peers": lambda stage: speed.measure(stage, sends=20, peers=(PLAIN,)),
}


async def measure(parts: dict[str, Part], on_results: Callable[[Results], object]) -> Results:
    """Run these parts one after the other, and call `on_results` with all results after each."""
    results: Results = {"machine": machine()}
    async with stage() as shared:
        for name, part in parts.items():
            print(f"{datetime.now():%H:%M:%S} {name}", file=sys.stderr, flush=True)
            started, load = time.perf_counter(), os.getloadavg()[0]
            results[name] = await part(shared) | {"loadBefore": round(load, 1)}
            results[name]["measuredOn"] = f"{datetime.now(UTC):%Y-%m-%d}"
            results[name]["tookSeconds"] = round(time.perf_counter() - started)
            on_results(results)
    return results


def machine() -> Results:
    """Return on which machine the results were measured, and when."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": os.cpu_count(),
        "cpu": cpu,
        "memoryGiB": round(pages / 2**30),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "temporalCli": VERSION,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def save(results: Results) -> None:
    """Save the measured parts; the results of other parts stay."""
    SAVED.parent.mkdir(exist_ok=True)
    earlier = json.loads(SAVED.read_text()) if SAVED.exists() else {}
    SAVED.write_text(json.dumps(earlier | results, indent=2) + "\n")


def main() -> None:
    """Measure. A quick run prints its results; a full run saves them and updates the page."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few sends per part; print JSON")
    parser.add_argument("--only", nargs="+", choices=FULL, help="measure only these parts")
    parser.add_argument("--report", action="store_true", help="update the page without measuring")
    arguments = parser.parse_args()
    if arguments.report:
        report.write(json.loads(SAVED.read_text()))
        return
    if arguments.quick:
        print(json.dumps(asyncio.run(measure(QUICK, lambda _: None)), indent=2))
        return
    names = arguments.only or [name for name in FULL if name not in LONG]
    packages = [each for each in system_packages.missing() if each in PEER_PACKAGES]
    if packages and set(names) & set(PEER_PARTS):
        sys.exit(
            f"Missing Debian packages for {' and '.join(PEER_PARTS)}: {', '.join(packages)}. Run"
            " `make system-packages` as root, or name other parts with --only"
        )
    asyncio.run(measure({name: FULL[name] for name in names}, save))
    report.write(json.loads(SAVED.read_text()))


if __name__ == "__main__":
    main()
