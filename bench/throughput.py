"""Throughput: with 50 and 200 in flight, and with thousands started at once."""

import asyncio
import time
from collections import Counter

from bench import histories
from bench.figures import Results, spread
from bench.stage import Stage, new_phone

SAMPLED = 250
"""Histories that are looked through for timeouts."""


async def measure(stage: Stage, *, sends: int) -> Results:
    """Send texts to known contacts with 50 and with 200 in flight."""
    phones = [new_phone() for _ in range(min(sends, 500))]
    await stage.crew.warm_up(phones)
    return {
        f"{in_flight} in flight": await stage.crew.many(sends, in_flight, phones)
        for in_flight in (50, 200)
    }


async def burst(stage: Stage, *, sends: int) -> Results:
    """Start everything at once; the server's own times and statuses tell how it went."""
    crew = stage.crew
    phones = [new_phone() for _ in range(min(sends, 500))]
    await crew.warm_up(phones)
    messages = (await stage.provider.stats())["messages"]
    cpu = crew.cpu()
    began = time.perf_counter()
    handles = await asyncio.gather(*(crew.start(to=phones[i % len(phones)]) for i in range(sends)))
    started = time.perf_counter() - began
    queue = f"TaskQueue = '{crew.task_queue}'"
    while (await stage.client.count_workflows(f"{queue} AND ExecutionStatus = 'Running'")).count:
        await asyncio.sleep(0.5)
    elapsed = time.perf_counter() - began
    used = cpu.per_1000(sends)
    ids = {handle.id for handle in handles}
    runs = [r async for r in stage.client.list_workflows(queue) if r.id in ids]
    statuses = Counter(run.status.name if run.status else "" for run in runs)
    seconds = [(run.close_time - run.start_time).total_seconds() for run in runs if run.close_time]
    found = [
        await histories.events(stage.client, handle.id)
        for handle in handles[:: max(sends // SAMPLED, 1)]
    ]
    timeouts = sum(event.event_type in histories.TIMEOUTS for each in found for event in each)
    return {
        "sends": sends,
        "startedWithinSeconds": round(started, 1),
        "perSecond": round(sends / elapsed, 1),
        "ms": spread(seconds),
        "cpuSecondsPer1000": used,
        "statuses": dict(statuses),
        "arrived": (await stage.provider.stats())["messages"] - messages,
        "timeoutsInSample": timeouts,
        "sampledHistories": len(found),
    }
