"""The performance targets, each with the measured value and whether it meets the target."""

from collections.abc import Iterator

from bench.comparison import KINDS
from bench.figures import Results

Line = tuple[str, str, str]

PLAIN, PLAIN_SENDS = "plain asyncio", "plain asyncio, 50 in flight"
AHEAD_OF = ("Celery", "Restate")


def targets(results: Results) -> list[Line]:
    """Return target, measured value, and `yes` or `no`, for the parts in `results`."""
    return [
        (target, measured, "yes" if met else "**no**") for target, measured, met in _all(results)
    ]


def _all(results: Results) -> Iterator[tuple[str, str, bool]]:
    for kind in KINDS if "comparison" in results else ():
        found = results["comparison"][kind]
        cpu, rate = found["cpuRatio"], found["rateRatio"]
        yield f"CPU at most 0.60 of the naive worker's, {kind}", f"{cpu}", cpu <= 0.6
        yield f"rate at least 1.5 times the naive worker's, {kind}", f"{rate}", rate >= 1.5
    if "latency" in results:
        for kind in ("text, cached contact", "template, cached contact"):
            added = results["latency"][kind]["addedMs"]["p50"]
            yield f"p50 of the added latency at most 40 ms, {kind}", f"{added} ms", added <= 40
    if "slowProvider" in results:
        yield from _slow(results["slowProvider"])
    if "burst" in results:
        found = results["burst"]
        failed = found["sends"] - found["statuses"].get("COMPLETED", 0)
        timeouts = found["timeoutsInSample"]
        yield (
            f"{found['sends']:,} sends at once without a failure or a timeout",
            f"{failed} failures, {timeouts} timeouts",
            failed == timeouts == 0,
        )
    if "batch" in results:
        yield from _batch(results)
    if "turns" in results:
        yield from _turns(results["turns"])
    if "soak" in results:
        memory = results["soak"]["workerMiB"]
        # The first tenth fills pools and caches; after that, memory should not grow.
        growth = memory[-1] / memory[1] - 1
        yield (
            f"memory over {results['soak']['sends']:,} sends: less than 5 % growth after a tenth",
            f"{memory[1]:g} to {memory[-1]:g} MiB",
            growth < 0.05,
        )


def _batch(results: Results) -> Iterator[tuple[str, str, bool]]:
    found = results["batch"]["known contacts"]
    ratio, cpu = found["rateRatio"][PLAIN_SENDS], found["batch"]["cpu"]
    for least, kind in ((0.85, "required"), (0.95, "wanted")):
        yield (
            f"batch, rate to that of {PLAIN_SENDS}: at least {least} ({kind})",
            f"{ratio}",
            (ratio >= least),
        )
    for most, kind in ((3.5, "required"), (3.0, "wanted")):
        yield f"batch, CPU-seconds per 1,000 rows: at most {most} ({kind})", f"{cpu}", cpu <= most
    peers = results.get("peers", {})
    for name in AHEAD_OF:
        if name in peers and PLAIN in peers:
            # The peers send once per message; plain asyncio is measured in both parts.
            theirs = round(peers[name]["perSecond"] / peers[PLAIN]["perSecond"], 2)
            yield (
                f"batch ahead of {name}, rate to that of plain asyncio in the same part",
                f"{ratio} and {theirs}",
                ratio > theirs,
            )


def _turns(found: Results) -> Iterator[tuple[str, str, bool]]:
    single, batch = found["single"]["cpuRatio"], found["batch"]["cpuRatio"]
    added = found["alone"]["addedMs"]
    yield "turns: at most 1.15 of the CPU, single sends", f"{single}", single <= 1.15
    yield "turns: at most 1.10 of the CPU, rows of a batch", f"{batch}", batch <= 1.1
    yield "turns: p50 at most 20 ms longer, one send alone", f"{added} ms", added <= 20


def _slow(found: Results) -> Iterator[tuple[str, str, bool]]:
    known, new = found["known"], found["new"]
    allowed = new["providerMs"] + 100
    yield (
        "provider with 300 ms: p99 of the resolution of a known contact under 500 ms",
        f"{known['resolutionP99Ms']} ms",
        known["resolutionP99Ms"] < 500,
    )
    yield (
        f"provider with 300 ms: p99 of the resolution of a new contact under {allowed} ms",
        f"{new['resolutionP99Ms']} ms",
        new["resolutionP99Ms"] < allowed,
    )
    for kind in ("cached", "known", "new"):
        p99 = found[kind]["sendP99Ms"]
        yield (
            f"provider with 300 ms: p99 of a send to a {kind} contact under 2 s",
            f"{p99} ms",
            p99 < 2000,
        )
