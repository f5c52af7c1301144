"""Helpers that measure: percentiles, a bounded number of calls in flight, CPU time."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

Results = dict[str, Any]
"""The results of a part of the benchmark, as they are in the JSON."""


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that `percent` percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * percent / 100) - 1, 0)]


def spread(seconds: Sequence[float]) -> dict[str, int]:
    """Return p50, p95 and p99 in milliseconds."""
    return {f"p{p}": round(percentile(seconds, p) * 1000) for p in (50, 95, 99)}


async def flood(
    count: int, in_flight: int, once: Callable[[int], Awaitable[None]]
) -> tuple[list[float], float]:
    """Call `once` with each number below `count`, at most `in_flight` at a time.

    Returns the seconds of each call, and of all calls together.
    """
    limit = asyncio.Semaphore(in_flight)
    seconds: list[float] = []

    async def bounded(number: int) -> None:
        async with limit:
            started = time.perf_counter()
            await once(number)
            seconds.append(time.perf_counter() - started)

    started = time.perf_counter()
    await asyncio.gather(*(bounded(number) for number in range(count)))
    return seconds, time.perf_counter() - started


def total(turns: Sequence[Results]) -> Results:
    """Return the result of all turns together; each turn has the same number of sends."""
    used = {
        name: round(sum(turn["cpuSecondsPer1000"][name] for turn in turns) / len(turns), 2)
        for name in turns[0]["cpuSecondsPer1000"]
    }
    p95 = [turn["ms"]["p95"] for turn in turns if "ms" in turn]
    return {
        "sends": sum(turn["sends"] for turn in turns),
        "perSecond": round(len(turns) / sum(1 / turn["perSecond"] for turn in turns), 1),
        "cpuSecondsPer1000": used,
        "cpu": round(sum(used.values()), 2),
        **({"p95Ms": max(p95)} if p95 else {}),
    }


def kinds(found: Results) -> list[tuple[str, Results]]:
    """Return the rows of a part, without the facts about the part as a whole."""
    return [(name, value) for name, value in found.items() if isinstance(value, dict)]


class Cpu:
    """CPU time of several processes since this object was created."""

    def __init__(self, **clocks: Callable[[], float]) -> None:
        self._clocks = clocks
        self._before = {name: clock() for name, clock in clocks.items()}

    def per_1000(self, sends: int) -> dict[str, float]:
        """Return the CPU-seconds of each process per 1,000 sends, after this many sends."""
        return {
            name: round((clock() - self._before[name]) / sends * 1000, 2)
            for name, clock in self._clocks.items()
        }
