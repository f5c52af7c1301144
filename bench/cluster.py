"""A cluster on paper: what 10, 100 and 1,000 sends a second need, from the measured costs."""

from math import ceil

from bench.figures import Results

RATES = (10, 100, 1000)
BUSY = 0.6
"""Share of its cores that a machine may use day in, day out."""

SHARDS = 512
"""As in docker-compose.yml; a database that has runs keeps its number."""

SECONDS_A_MONTH = 365.25 * 24 * 3600 / 12

FIRST_PRICE = 50.0
"""Dollars a million actions, Temporal's page "Temporal Cloud pricing", pay as you go; the page of
the actions counts them as bench/histories.py does."""


def cluster(results: Results) -> str:
    """Return a Markdown table."""
    used = results["throughput"]["50 in flight"]["cpuSecondsPer1000"]
    actions = results["latency"]["text, cached contact"]["actions"]["all"]
    head = ["sends a second, all day", *(f"{rate:,}" for rate in RATES)]
    rows = [
        ("cores for workers", *(ceil(rate * used["worker"] / 1000 / BUSY) for rate in RATES)),
        ("cores for the server", *(ceil(rate * used["server"] / 1000 / BUSY) for rate in RATES)),
        (f"runs a second and shard, {SHARDS} shards", *(f"{rate / SHARDS:.2g}" for rate in RATES)),
        (
            f"Cloud actions a month, {actions} a send",
            *(f"{rate * SECONDS_A_MONTH * actions / 1e6:,.0f} million" for rate in RATES),
        ),
    ]
    lines = [head, ["---", *["---:"] * len(RATES)], *rows]
    shown = "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
    price = actions * 1000 / 1e6 * FIRST_PRICE
    return (
        f"{shown}\n\n1,000 sends are {actions * 1000:,} actions, ${price:.2f} at ${FIRST_PRICE:g} a"
        " million."
    )
