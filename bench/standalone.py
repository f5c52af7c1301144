"""A single send as a workflow, compared with its activity alone: what the workflow costs."""

import uuid
from datetime import timedelta

from activities.messages import SendText
from activities.retries import RetryLimits
from bench.figures import Results, flood, spread, total
from bench.stage import Crew, Stage, new_phone
from send_whatsapp.contract.attempts import Accepted

IN_FLIGHT = 50
TURNS = 3


async def measure(stage: Stage, *, sends: int) -> Results:
    """Send texts to known contacts both ways, in turns, so that other load affects both."""
    phones = [new_phone() for _ in range(min(sends, 200))]
    await stage.crew.warm_up(phones)
    await _activities(stage.crew, len(phones), phones)
    turns: dict[str, list[Results]] = {"workflow": [], "standalone activity": []}
    for _ in range(TURNS):
        turns["workflow"].append(await stage.crew.many(sends, IN_FLIGHT, phones))
        turns["standalone activity"].append(await _activities(stage.crew, sends, phones))
    return {name: total(each) for name, each in turns.items()}


async def _activities(crew: Crew, sends: int, phones: list[str]) -> Results:
    """Send with `send_text` alone; it gets the contact's id, since no step before it looks it up.

    This is less than a send needs, so the figures are the least that a standalone activity costs.
    """

    async def once(number: int) -> None:
        contact_id = phones[number % len(phones)].removeprefix("+")
        await crew.client.execute_activity(
            "send_text",
            SendText(
                contact_id=contact_id,
                delivery="at_least_once",
                retry=RetryLimits(attempts=4, retry_for_s=3600),
                origin_run_id="",
                text="Hello",
            ),
            id=f"standalone-{uuid.uuid4()}",
            task_queue=crew.task_queue,
            result_type=Accepted,
            start_to_close_timeout=timedelta(seconds=30),
        )

    cpu = crew.cpu()
    seconds, elapsed = await flood(sends, IN_FLIGHT, once)
    return {
        "sends": sends,
        "perSecond": round(sends / elapsed, 1),
        "ms": spread(seconds),
        "cpuSecondsPer1000": cpu.per_1000(sends),
    }
