"""Figures: how they are taken, and what is told of many."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

Results = dict[str, Any]
"""What a part of the benchmark found, as it goes into the JSON."""


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that so many percent of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * percent / 100) - 1, 0)]


def spread(seconds: Sequence[float]) -> dict[str, int]:
    """Return p50, p95 and p99 in milliseconds."""
    return {f"p{p}": round(percentile(seconds, p) * 1000) for p in (50, 95, 99)}


async def flood(
    count: int, in_flight: int, once: Callable[[int], Awaitable[None]]
) -> tuple[list[float], float]:
    """Run `once` so many times with a bound; return the single seconds and those of the whole."""
    gate = asyncio.Semaphore(in_flight)
    seconds: list[float] = []

    async def bounded(number: int) -> None:
        async with gate:
            began = time.perf_counter()
            await once(number)
            seconds.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(bounded(number) for number in range(count)))
    return seconds, time.perf_counter() - began


class Cpu:
    """CPU-seconds of several processes since the last look, for so many sends."""

    def __init__(self, **clocks: Callable[[], float]) -> None:
        """Watch each named clock."""
        self._clocks = clocks
        self._before = {name: clock() for name, clock in clocks.items()}

    def per_1000(self, sends: int) -> dict[str, float]:
        """Return the CPU-seconds that 1,000 sends took of each."""
        return {
            name: round((clock() - self._before[name]) / sends * 1000, 1)
            for name, clock in self._clocks.items()
        }
