"""Scale: one, two and four worker processes on one server."""

from bench.figures import Results
from bench.stage import Stage, new_phone

PROCESSES = (1, 2, 4)


async def measure(stage: Stage, *, sends: int) -> Results:
    """Send texts to known contacts with 200 in flight, with each number of workers."""
    results: Results = {}
    for count in PROCESSES:
        async with stage.workers(count) as crew:
            phones = [new_phone() for _ in range(50)]
            # Each process has its own cache of contacts: repeat until all processes have all.
            for _ in range(2 * count):
                await crew.warm_up(phones)
            results[str(count)] = await crew.many(sends, 200, phones)
    return results
