"""Latency: the time that a single send takes beyond the provider's own time."""

import time
from collections.abc import Callable

from bench import histories
from bench.figures import Results, spread
from bench.stage import DELAY_MS, Stage, new_phone

KNOWN = new_phone()

KINDS: dict[str, Callable[[], dict[str, str]]] = {
    "text, cached contact": lambda: {"to": KNOWN},
    "text, new contact": lambda: {"to": new_phone()},
    "template, cached contact": lambda: {"to": KNOWN, "template": "visa_approved"},
    "template, new contact": lambda: {"to": new_phone(), "template": "visa_approved"},
}


async def measure(stage: Stage, *, sends: int) -> Results:
    """Send `sends` messages of each kind, one after the other."""
    results: Results = {}
    for kind, fields in KINDS.items():
        await stage.crew.send(**fields())
        before = await stage.provider.stats()
        seconds, ids = [], []
        for _ in range(sends):
            started = time.perf_counter()
            ids.append(await stage.crew.send(**fields()))
            seconds.append(time.perf_counter() - started)
        calls = ((await stage.provider.stats())["calls"] - before["calls"]) / sends
        provider_s = calls * DELAY_MS / 1000
        found = [await histories.events(stage.client, each) for each in ids[:50]]
        results[kind] = {
            "sends": sends,
            "providerCalls": calls,
            "providerMs": round(provider_s * 1000),
            "addedMs": spread([each - provider_s for each in seconds]),
            "events": len(found[-1]),
            "actions": histories.actions(found[-1]),
            "steps": histories.breakdown(found),
        }
    return results
