"""The cost of turns: the same templates with and without them, on one server."""

import asyncio
import statistics
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from bench.figures import Results, percentile
from bench.stage import Crew, Stage, new_phone
from send_whatsapp.client import batches
from send_whatsapp.contract.batch import Row
from send_whatsapp.contract.request import SendWhatsAppRequest

WITHOUT_TURNS: Final = (sys.executable, "-m", "bench.without_turns")

TEMPLATE: Mapping[str, object] = {
    "template": "visa_approved",
    "variables": {"name": "John Doe", "reference": "4711"},
}

ROUNDS: Final = 5
"""Rounds with alternating order; figures are medians of the rounds' ratios."""

IN_FLIGHT: Final = 40
ALONE: Final = 20
"""Sends, one after the other, whose latency is measured in each round."""


async def measure(stage: Stage, *, sends: int, rows: int, rounds: int = ROUNDS) -> Results:
    """Send to known people whom nobody else writes to: single messages, one alone, and a batch."""
    async with stage.workers() as ours, stage.workers(command=WITHOUT_TURNS) as without:
        crews = {"with": ours, "without": without}
        phones = [new_phone() for _ in range(max(sends * rounds, rows, ALONE * rounds))]
        for crew in crews.values():
            await _batch(crew, phones)
            await _singles(crew, phones[:IN_FLIGHT])
        return {
            "single": await _cpu(
                crews, rounds, lambda crew, number: _singles(crew, _part(phones, number, sends))
            ),
            "alone": await _added_ms(crews, rounds, phones),
            "batch": await _cpu(crews, rounds, lambda crew, _: _batch(crew, phones[:rows])),
        }


def _part(phones: Sequence[str], number: int, size: int) -> Sequence[str]:
    """Return the phones of a round: nobody waits for the gap after the round before."""
    return phones[number * size : (number + 1) * size]


async def _cpu(
    crews: Mapping[str, Crew], rounds: int, send: Callable[[Crew, int], Awaitable[int]]
) -> Results:
    """Return CPU-seconds per 1,000 messages, and the ratio with to without turns."""
    used: dict[str, list[float]] = {name: [] for name in crews}
    for number in range(rounds):
        for name in _order(crews, number):
            cpu = crews[name].cpu()
            count = await send(crews[name], number)
            used[name].append(sum(cpu.per_1000(count).values()))
    ratios = [a / b for a, b in zip(used["with"], used["without"], strict=True)]
    return {
        "cpuSecondsPer1000": {n: round(statistics.median(each), 1) for n, each in used.items()},
        "cpuRatio": round(statistics.median(ratios), 2),
        "cpuRatios": [round(ratio, 2) for ratio in ratios],
    }


async def _added_ms(crews: Mapping[str, Crew], rounds: int, phones: Sequence[str]) -> Results:
    """Return the median times of sends, one after the other, and what turns add (ms)."""
    seconds: dict[str, list[float]] = {name: [] for name in crews}
    for number in range(rounds):
        for name in _order(crews, number):
            for phone in _part(phones, number, ALONE):
                started = time.perf_counter()
                await crews[name].send(to=phone, **TEMPLATE)
                seconds[name].append(time.perf_counter() - started)
    p50 = {name: round(percentile(each, 50) * 1000, 1) for name, each in seconds.items()}
    return {"p50Ms": p50, "addedMs": round(p50["with"] - p50["without"], 1)}


def _order(crews: Mapping[str, Crew], number: int) -> Sequence[str]:
    """Return the crews in the order of a round: what else happens affects both."""
    return list(crews)[:: 1 if number % 2 else -1]


async def _singles(crew: Crew, phones: Sequence[str]) -> int:
    await crew.many(len(phones), IN_FLIGHT, phones, **TEMPLATE)
    return len(phones)


async def _batch(crew: Crew, phones: Sequence[str]) -> int:
    key = f"bench-{uuid.uuid4().hex[:8]}"
    rows = [
        Row(
            row=number,
            key=phone,
            request=SendWhatsAppRequest.model_validate({"to": phone, **TEMPLATE}),
        )
        for number, phone in enumerate(phones, 2)
    ]
    await batches.start(crew.client, key, rows, [], task_queue=crew.task_queue)
    while (await batches.get_status(crew.client, key)).running:
        await asyncio.sleep(0.2)
    return len(rows)
