"""Batches: rate, CPU, histories and memory of one batch, and urgent sends while it runs."""

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

URGENT_SENDS = 30


async def measure(stage: Stage, *, rows: int) -> Results:
    """Send `rows` to new contacts, to the same contacts again, and again with urgent sends."""
    async with stage.workers() as crew:
        phones = [new_phone() for _ in range(rows)]
        return {
            "new contacts": await _batch(crew, phones),
            "known contacts": await _batch(crew, phones),
            "urgent": await _urgent(crew, phones),
        }


async def soak(stage: Stage, *, rows: int) -> Results:
    """Send `rows` to new contacts; return the memory before, at most, and after (MiB)."""
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
    started = time.perf_counter()
    key, accepted = await _send(crew, phones)
    elapsed = time.perf_counter() - started
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
    """Send one batch and wait for its end; return its key and how many rows were accepted."""
    key = f"bench-{uuid.uuid4().hex[:8]}"
    rows = [
        Row(row=n, key=phone, request=SendWhatsAppRequest(to=phone, message="Hello"))
        for n, phone in enumerate(phones, 2)
    ]
    await batches.start(crew.client, key, rows, [], task_queue=crew.task_queue)
    while (status := await batches.get_status(crew.client, key)).running:
        await asyncio.sleep(0.2)
    return key, status.counts.accepted


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
