"""Throughput: 50 and 200 sends in flight, and thousands started at once."""

import asyncio
import time
from collections import Counter

from temporalio.client import WorkflowExecution, WorkflowHandle

from bench import histories
from bench.figures import Results, flood, spread
from bench.stage import Stage, new_phone
from send_whatsapp.contract.result import SendWhatsAppResult

SAMPLED = 250
"""Histories that are searched for timeouts."""

STARTING = 200
"""Starts in flight at a time. With 5,000 the server does not answer all of them in time."""


async def measure(stage: Stage, *, sends: int) -> Results:
    """Send texts to cached contacts, with 50 and with 200 in flight."""
    phones = [new_phone() for _ in range(min(sends, 500))]
    await stage.crew.warm_up(phones)
    return {
        f"{in_flight} in flight": await stage.crew.many(sends, in_flight, phones)
        for in_flight in (50, 200)
    }


async def burst(stage: Stage, *, sends: int) -> Results:
    """Start all sends as fast as the server takes them; return rate, latency and timeouts."""
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
    ids = {handle.id for handle in handles}
    queue = f"TaskQueue = '{crew.task_queue}'"
    runs: list[WorkflowExecution] = []
    # Visibility lags behind: at first it may show none of the runs, running or closed.
    while len(runs) < sends:
        await asyncio.sleep(0.5)
        running = await stage.client.count_workflows(f"{queue} AND ExecutionStatus = 'Running'")
        if running.count == 0:
            elapsed = time.perf_counter() - began
            runs = [r async for r in stage.client.list_workflows(queue) if r.id in ids]
    used = cpu.per_1000(sends)
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
