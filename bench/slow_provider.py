"""A provider that takes 300 ms per call, with 50 sends in flight: p99 of resolution and send."""

from collections.abc import Callable

from bench import histories
from bench.figures import Results, flood, percentile
from bench.stage import Stage, new_phone
from simulator.process import simulator

DELAY_MS = 300
IN_FLIGHT = 50


async def measure(stage: Stage, *, sends: int) -> Results:
    """Send to contacts in the worker's cache, to others that the provider has, and to new ones."""
    results: Results = {}
    async with (
        simulator("--delay-ms", str(DELAY_MS)) as provider,
        stage.workers(provider=provider) as crew,
    ):
        cached = [new_phone() for _ in range(IN_FLIGHT)]
        await crew.warm_up(cached)
        known = [new_phone() for _ in range(sends)]
        await provider.contacts(*known)
        kinds: dict[str, tuple[int, Callable[[int], str]]] = {
            "cached": (0, lambda i: cached[i % len(cached)]),
            "known": (1, lambda i: known[i]),
            "new": (3, lambda i: new_phone()),
        }
        for kind, (calls, phone) in kinds.items():
            ids: list[str] = []

            async def once(number: int, phone: Callable[[int], str] = phone) -> None:
                ids.append(await crew.send(to=phone(number)))  # noqa: B023

            seconds, elapsed = await flood(sends, IN_FLIGHT, once)
            resolutions = [
                histories.resolution_seconds(await histories.events(stage.client, each))
                for each in ids
            ]
            results[kind] = {
                "sends": sends,
                "perSecond": round(sends / elapsed, 1),
                "lookupCalls": calls,
                "providerMs": calls * DELAY_MS,
                "resolutionP99Ms": round(percentile(resolutions, 99) * 1000),
                "resolutionP50Ms": round(percentile(resolutions, 50) * 1000),
                "sendP99Ms": round(percentile(seconds, 99) * 1000),
                "sendP50Ms": round(percentile(seconds, 50) * 1000),
            }
    return results
