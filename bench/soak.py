"""Soak test: the worker's memory over thousands of sends."""

from bench.figures import Results
from bench.stage import Stage, new_phone

STEPS = 10


async def measure(stage: Stage, *, sends: int) -> Results:
    """Send texts with 100 in flight; return the worker's memory after each tenth of them."""
    async with stage.workers() as crew:
        [worker] = crew.workers
        phones = [new_phone() for _ in range(500)]
        await crew.warm_up(phones)
        memory = [round(worker.memory_mib(), 1)]
        for _ in range(STEPS):
            await crew.many(sends // STEPS, 100, phones)
            memory.append(round(worker.memory_mib(), 1))
        return {"sends": sends, "workerMiB": memory}
