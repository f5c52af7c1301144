"""`make bench`: measures, keeps bench/results/latest.json, and renews docs/performance.md."""

import argparse
import asyncio
import json
import os
import platform
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench import comparison, latency, report, scale, slow_provider, soak, throughput
from bench.figures import Results
from bench.peers import speed, truth
from bench.peers.systems import PEERS, PLAIN
from bench.stage import Stage, stage
from tools.dev_server import ROOT, VERSION

KEPT = ROOT / "bench" / "results" / "latest.json"

Part = Callable[[Stage], Awaitable[Results]]

FULL: dict[str, Part] = {
    "latency": lambda stage: latency.measure(stage, sends=100),
    "throughput": lambda stage: throughput.measure(stage, sends=1500),
    "comparison": lambda stage: comparison.measure(stage, sends=200),
    "slowProvider": lambda stage: slow_provider.measure(stage, sends=300),
    "burst": lambda stage: throughput.burst(stage, sends=5000),
    "scale": lambda stage: scale.measure(stage, sends=500),
    "peers": lambda stage: speed.measure(stage, sends=1000, peers=PEERS),
    "truth": lambda stage: truth.measure(stage, sends=600, peers=PEERS),
    "soak": lambda stage: soak.measure(stage, sends=20_000),
}
"""Every part; `soak` takes as long as all others together and runs only when it is named."""

QUICK: dict[str, Part] = {
    "latency": lambda stage: latency.measure(stage, sends=2),
    "throughput": lambda stage: throughput.measure(stage, sends=10),
    "comparison": lambda stage: comparison.measure(stage, sends=5),
    "burst": lambda stage: throughput.burst(stage, sends=20),
    "peers": lambda stage: speed.measure(stage, sends=20, peers=(PLAIN,)),
}


async def measure(parts: dict[str, Part]) -> Results:
    """Run these parts, one after the other, on one stage."""
    results: Results = {}
    load = []
    async with stage() as shared:
        for name, part in parts.items():
            print(f"{datetime.now():%H:%M:%S} {name}", file=sys.stderr, flush=True)
            began = time.perf_counter()
            load.append(round(os.getloadavg()[0], 1))
            results[name] = await part(shared)
            results[name]["tookSeconds"] = round(time.perf_counter() - began)
    return results | {"machine": machine() | {"load": load}}


def machine() -> Results:
    """Return what the figures were taken on, and when."""
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


def keep(results: Results) -> Results:
    """Put the measured parts beside those of earlier runs, and return all."""
    KEPT.parent.mkdir(exist_ok=True)
    earlier = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    together: Results = earlier | results
    KEPT.write_text(json.dumps(together, indent=2) + "\n")
    return together


def main(words: Sequence[str] | None = None) -> None:
    """Measure; print what a quick run found, keep and report what a full one did."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few sends, to see that it works")
    parser.add_argument("--only", nargs="+", choices=FULL, help="these parts, the others stay")
    parser.add_argument("--report", action="store_true", help="renew the page, measure nothing")
    given = parser.parse_args(words)
    if given.report:
        report.write(json.loads(KEPT.read_text()))
        return
    if given.quick:
        print(json.dumps(asyncio.run(measure(QUICK)), indent=2))
        return
    names = given.only or [name for name in FULL if name != "soak"]
    report.write(keep(asyncio.run(measure({name: FULL[name] for name in names}))))


if __name__ == "__main__":
    main()
