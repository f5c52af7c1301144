"""An estimate of what 10, 100 and 1,000 sends per second need, from the measured CPU."""

from math import ceil

from bench.figures import Results

RATES = (10, 100, 1000)
TARGET_LOAD = 0.6
"""Share of its cores that a machine should use at most."""

SHARDS = 512
"""History shards, as in docker-compose.yml."""

SECONDS_PER_MONTH = 365.25 * 24 * 3600 / 12

PRICE_PER_MILLION = 50.0
"""Dollars per million actions, from the page "Temporal Cloud pricing" (pay as you go)."""


def cluster(results: Results) -> str:
    """Return a Markdown table."""
    used = results["throughput"]["50 in flight"]["cpuSecondsPer1000"]
    actions = results["latency"]["text, cached contact"]["actions"]["all"]
    head = ["sends per second, all day", *(f"{rate:,}" for rate in RATES)]
    rows = [
        ("cores for workers", *_cores(used["worker"])),
        ("cores for the server", *_cores(used["server"])),
        (f"runs per second and shard ({SHARDS})", *(f"{rate / SHARDS:.2g}" for rate in RATES)),
        (
            f"Cloud actions per month, {actions} per send",
            *(f"{rate * SECONDS_PER_MONTH * actions / 1e6:,.0f} million" for rate in RATES),
        ),
    ]
    lines = [head, ["---", *["---:"] * len(RATES)], *rows]
    shown = "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
    price = actions * 1000 / 1e6 * PRICE_PER_MILLION
    return (
        f"{shown}\n\n1,000 sends are {actions * 1000:,} actions: ${price:.2f} at"
        f" ${PRICE_PER_MILLION:g} per million."
    )


def _cores(cpu_seconds_per_1000: float) -> list[int]:
    """Return the cores that each rate needs."""
    return [ceil(rate * cpu_seconds_per_1000 / 1000 / TARGET_LOAD) for rate in RATES]
