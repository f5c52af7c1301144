"""Batches: rate, CPU, history and memory of one batch, and an urgent send beside it."""

import asyncio
import time
import uuid

from bench.figures import Results, spread
from bench.processes import memory_mib
from bench.stage import Crew, Stage, new_phone
from send_whatsapp.client import batches
from send_whatsapp.contract.batch import Row
from send_whatsapp.contract.names import batch_id, part_id
from send_whatsapp.contract.request import SendWhatsAppRequest

URGENT = 30


async def measure(stage: Stage, *, rows: int) -> Results:
    """Send so many rows to new contacts, then to the same ones, then with urgent sends beside."""
    async with stage.workers() as crew:
        phones = [new_phone() for _ in range(rows)]
        return {
            "new contacts": await _batch(crew, phones),
            "known contacts": await _batch(crew, phones),
            "urgent": await _urgent(crew, phones),
        }


async def soak(stage: Stage, *, rows: int) -> Results:
    """Send so many rows to new contacts; return the memory before, at its most, and after."""
    async with stage.workers() as crew:
        memory = [_memory(crew)]
        async with asyncio.TaskGroup() as group:
            batch = group.create_task(_send(crew, [new_phone() for _ in range(rows)]))
            while not batch.done():
                await asyncio.wait([batch], timeout=1)
                memory.append(_memory(crew))
        _, accepted = batch.result()
        return {
            "rows": rows,
            "accepted": accepted,
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


async def _batch(crew: Crew, phones: list[str]) -> Results:
    cpu = crew.cpu()
    began = time.perf_counter()
    key, accepted = await _send(crew, phones)
    elapsed = time.perf_counter() - began
    used = cpu.per_1000(len(phones))
    histories = {}
    for name, workflow_id in (("batch", batch_id(key)), ("part", part_id(batch_id(key), 1, 0))):
        described = await crew.client.get_workflow_handle(workflow_id).describe()
        info = described.raw_description.workflow_execution_info
        histories[name] = {"events": info.history_length, "bytes": info.history_size_bytes}
    return {
        "rows": len(phones),
        "accepted": accepted,
        "perSecond": round(len(phones) / elapsed, 1),
        "cpuSecondsPer1000": used,
        "histories": histories,
    }


async def _send(crew: Crew, phones: list[str]) -> tuple[str, int]:
    """Send one batch to its end; return its key and the rows that were accepted."""
    key = f"bench-{uuid.uuid4().hex[:8]}"
    rows = [
        Row(row=n, key=phone, request=SendWhatsAppRequest(to=phone, message="Hello"))
        for n, phone in enumerate(phones, 2)
    ]
    await batches.start(crew.client, key, rows, [], task_queue=crew.task_queue)
    while True:
        await asyncio.sleep(0.2)
        status = await batches.get_status(crew.client, key)
        if not status.running:
            return key, status.counts.accepted


async def _urgent(crew: Crew, phones: list[str]) -> Results:
    """Return the latency of single sends alone, and while a batch keeps the worker busy."""
    alone = [await _timed(crew, phones[0]) for _ in range(URGENT)]
    batch = asyncio.create_task(_send(crew, phones))
    beside: list[float] = []
    while not batch.done():
        beside.append(await _timed(crew, phones[0]))
    await batch
    return {
        "aloneMs": spread(alone),
        "besideABatchMs": spread(beside),
        "sendsBesideABatch": len(beside),
    }


async def _timed(crew: Crew, phone: str) -> float:
    began = time.perf_counter()
    await crew.send(to=phone)
    return time.perf_counter() - began
