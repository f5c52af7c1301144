"""Batches: rate and CPU beside plain asyncio, histories, memory, and urgent sends meanwhile."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

from bench.figures import Cpu, Results, spread, total
from bench.peers.truth import until_arrived
from bench.plain_sends import PlainSends, plain_sends
from bench.processes import memory_mib
from bench.stage import DELAY_MS, Crew, Stage, new_phone
from send_whatsapp.client import batches
from send_whatsapp.contract.batch import Row
from send_whatsapp.contract.names import batch_id, part_id
from send_whatsapp.contract.request import SendWhatsAppRequest
from simulator.faults import Fault
from simulator.process import Simulator, simulator

URGENT_SENDS = 30
TURNS = 2
POLL_S = 1.0

SLOW = Fault(
    route="send_text",
    probability=1 / 50,
    delay_ms=1000,
    effect=True,
    status=200,
    body={"success": True},
)
KINDS: dict[str, list[Fault]] = {"known contacts": [], "one row in fifty takes 1 s": [SLOW]}
"""The provider knows the contacts and the worker does not, so a row makes two calls."""

PLAIN_IN_FLIGHT = (50, 100)

Sender = Callable[[list[str]], Awaitable[object]]


async def measure(stage: Stage, *, rows: int) -> Results:
    """Send `rows` of each kind as a batch and with plain asyncio, in turns on one provider."""
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(simulator("--delay-ms", str(DELAY_MS)))
        # With the worker's log, which is part of what a row costs.
        log = stage.folder / "batch-worker.log"
        crew = await stack.enter_async_context(
            stage.workers(provider=provider, log=log, LOG_LEVEL="INFO")
        )
        plain = {
            f"plain asyncio, {count} in flight": await stack.enter_async_context(
                plain_sends(provider, count)
            )
            for count in PLAIN_IN_FLIGHT
        }
        results: Results = {
            kind: await _compare(crew, provider, plain, faults, rows)
            for kind, faults in KINDS.items()
        }
        await provider.faults()
        phones = [new_phone() for _ in range(rows)]
        new = await _timed_sends(provider, crew.cpu, partial(_send, crew), phones)
        urgent = await _urgent(crew, phones)
        return results | {"new contacts": {"batch": new}, "urgent": urgent}


async def _compare(
    crew: Crew,
    provider: Simulator,
    plain: dict[str, PlainSends],
    faults: list[Fault],
    rows: int,
) -> Results:
    """Return the results of the batch and of plain asyncio, all turns together, and histories."""
    turns: dict[str, list[Results]] = {name: [] for name in (*plain, "batch")}
    keys: list[str] = []

    async def send_batch(phones: list[str]) -> None:
        keys.append(await _send(crew, phones))

    for turn in range(-1, TURNS):
        # The turn before the first one loads modules and opens connections.
        count = rows if turn >= 0 else max(rows // 10, 1)
        await provider.faults(*faults)
        for name, program in plain.items():
            used = partial(Cpu, worker=program.program.cpu_seconds, server=lambda: 0.0)
            found = await _known(provider, used, partial(_send_plain, program), count)
            turns[name].append(found)
        turns["batch"].append(await _known(provider, crew.cpu, send_batch, count))
    results = {name: total(found[1:]) for name, found in turns.items()}
    return results | {
        "rateRatio": {
            name: round(results["batch"]["perSecond"] / results[name]["perSecond"], 2)
            for name in plain
        },
        "histories": await _histories(crew, keys[-1]),
    }


async def _known(provider: Simulator, cpu: Callable[[], Cpu], send: Sender, count: int) -> Results:
    phones = [new_phone() for _ in range(count)]
    await provider.contacts(*phones)
    return await _timed_sends(provider, cpu, send, phones)


async def _timed_sends(
    provider: Simulator, cpu: Callable[[], Cpu], send: Sender, phones: list[str]
) -> Results:
    """Send to each phone; the rate is that of the simulator's inbox."""
    before = (await provider.stats())["messages"]
    used = cpu()
    await send(phones)
    assert await until_arrived(provider, before + len(phones)), "not all messages arrived"
    cpu_seconds = used.per_1000(len(phones))
    times = [message["at"] for message in (await provider.inbox())[before:]]
    elapsed = max(times[-1] - times[0], 0.001)
    return {
        "sends": len(phones),
        "perSecond": round(len(phones) / elapsed, 1),
        "cpuSecondsPer1000": cpu_seconds,
    }


async def _send_plain(program: PlainSends, phones: list[str]) -> None:
    program.send(phones)


async def soak(stage: Stage, *, rows: int) -> Results:
    """Send `rows` to new contacts; return the memory before, at most, and after (MiB)."""
    async with stage.workers() as crew:
        memory = [_memory(crew)]
        async with asyncio.TaskGroup() as group:
            batch = group.create_task(_send(crew, [new_phone() for _ in range(rows)]))
            while not batch.done():
                await asyncio.wait([batch], timeout=1)
                memory.append(_memory(crew))
        return {
            "rows": rows,
            "before": memory[0],
            "most": {name: max(mib[name] for mib in memory) for name in memory[0]},
            "after": memory[-1],
        }


def _memory(crew: Crew) -> dict[str, int]:
    process = crew.server.process
    assert process is not None
    return {
        "workerMiB": round(sum(worker.memory_mib() for worker in crew.workers)),
        "serverMiB": round(memory_mib(process.pid)),
    }


async def _histories(crew: Crew, key: str) -> Results:
    histories = {}
    for name, workflow_id in (("batch", batch_id(key)), ("part", part_id(batch_id(key), 1, 0))):
        described = await crew.client.get_workflow_handle(workflow_id).describe()
        info = described.raw_description.workflow_execution_info
        histories[name] = {"events": info.history_length, "bytes": info.history_size_bytes}
    return histories


async def _send(crew: Crew, phones: list[str]) -> str:
    """Send one batch, wait for its end, and return its key. Every row must be accepted."""
    key = f"bench-{uuid.uuid4().hex[:8]}"
    rows = [
        Row(row=n, key=phone, request=SendWhatsAppRequest(to=phone, message="Hello"))
        for n, phone in enumerate(phones, 2)
    ]
    await batches.start(crew.client, key, rows, [], task_queue=crew.task_queue)
    while (status := await batches.get_status(crew.client, key)).running:
        await asyncio.sleep(POLL_S)
    assert status.counts.accepted == len(phones), status.counts.summary()
    return key


async def _urgent(crew: Crew, phones: list[str]) -> Results:
    """Return the latency of single sends without a batch, and while the worker sends one."""
    alone = [await _timed(crew, phones[0]) for _ in range(URGENT_SENDS)]
    batch = asyncio.create_task(_send(crew, phones))
    beside_batch: list[float] = []
    while not batch.done():
        beside_batch.append(await _timed(crew, phones[0]))
    await batch
    return {
        "aloneMs": spread(alone),
        "besideABatchMs": spread(beside_batch),
        "sendsBesideABatch": len(beside_batch),
    }


async def _timed(crew: Crew, phone: str) -> float:
    started = time.perf_counter()
    await crew.send(to=phone)
    return time.perf_counter() - started
