"""Throughput: with 50 and 200 in flight, and with thousands started at once."""

import asyncio
import time
from collections import Counter

from temporalio.client import WorkflowHandle

from bench import histories
from bench.figures import Results, flood, spread
from bench.stage import Stage, new_phone
from send_whatsapp.contract.result import SendWhatsAppResult

SAMPLED = 250
"""Histories that are looked through for timeouts."""

STARTING = 200
"""Starts under way at a time: one process that has 5,000 asks more than one server answers in time,
and its starts fail after 10 s with what to do, as a starter's do."""


async def measure(stage: Stage, *, sends: int) -> Results:
    """Send texts to known contacts with 50 and with 200 in flight."""
    phones = [new_phone() for _ in range(min(sends, 500))]
    await stage.crew.warm_up(phones)
    return {
        f"{in_flight} in flight": await stage.crew.many(sends, in_flight, phones)
        for in_flight in (50, 200)
    }


async def burst(stage: Stage, *, sends: int) -> Results:
    """Start everything as fast as the server takes it; its own times and statuses tell the end."""
    crew = stage.crew
    phones = [new_phone() for _ in range(min(sends, 500))]
    await crew.warm_up(phones)
    messages = (await stage.provider.stats())["messages"]
    cpu = crew.cpu()
    began = time.perf_counter()
    handles: list[WorkflowHandle[object, SendWhatsAppResult]] = []

    async def start(number: int) -> None:
        handles.append(await crew.start(to=phones[number % len(phones)]))

    _, started = await flood(sends, STARTING, start)
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
