"""Truth: messages lost, doubled and unknown when workers die or answers get lost."""

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack

from bench.figures import Results
from bench.peers.systems import PEERS, Ours, Peer, System, running
from bench.stage import DELAY_MS, Stage, new_phone
from simulator.faults import Fault
from simulator.process import Simulator, simulator

KILLS = 3
QUIET_AFTER_KILLS_S = 75
"""Every system here takes a dead worker's work up again within 60 s, or not at all."""
QUIET_S = 15
LOST_ANSWERS = Fault(route="send_*", kind="cut", effect=True, probability=0.05)
DELIVERIES = ("at_least_once", "at_most_once")


async def measure(stage: Stage, *, sends: int, peers: tuple[Peer, ...] = PEERS) -> Results:
    """Put every system through both ordeals, all at the same time: it is no race."""
    names = [peer.name for peer in peers] + [Ours(stage.crew, d).name for d in DELIVERIES]
    results: Results = {}
    for ordeal in ("killed", "lostAnswers"):
        rows = await asyncio.gather(
            *(peer_ordeal(stage, peer, ordeal, sends) for peer in peers),
            *(_ours(stage, delivery, ordeal, sends) for delivery in DELIVERIES),
        )
        results[ordeal] = dict(zip(names, rows, strict=True))
    notes = {"sends": sends, "kills": KILLS, "lostAnswers%": round(LOST_ANSWERS.probability * 100)}
    return notes | results


async def peer_ordeal(stage: Stage, peer: Peer, ordeal: str, sends: int) -> Results:
    """Put one peer through `killed` or `lostAnswers`."""
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(simulator("--delay-ms", str(DELAY_MS)))
        folder = stage.folder / f"{ordeal}-{peer.folder}"
        system = await stack.enter_async_context(running(peer, provider, folder))
        return await _ordeal(system, provider, ordeal, sends)


async def _ours(stage: Stage, delivery: str, ordeal: str, sends: int) -> Results:
    async with (
        simulator("--delay-ms", str(DELAY_MS)) as provider,
        # A killed worker's send is noticed 3 s after this deadline.
        stage.workers(provider=provider, CGB_TIMEOUT="5000") as crew,
    ):
        return await _ordeal(Ours(crew, delivery), provider, ordeal, sends)


async def _ordeal(system: System, provider: Simulator, ordeal: str, sends: int) -> Results:
    phones = [new_phone() for _ in range(sends)]
    await provider.contacts(*phones)
    before = (await provider.stats())["messages"]
    if ordeal == "lostAnswers":
        await provider.faults(LOST_ANSWERS)
    quiet_s = QUIET_AFTER_KILLS_S if ordeal == "killed" else QUIET_S
    enqueuing = asyncio.create_task(system.enqueue(phones))
    assert await until_arrived(provider, before + 1), "nothing arrives at all"
    if ordeal == "killed":
        for number in range(1, KILLS + 1):
            part = sends * number // (KILLS + 1)
            if not await until_arrived(provider, before + part, quiet_s):
                break
            system.kill()
    await until_arrived(provider, before + 10 * sends, quiet_s)
    await enqueuing
    arrived = Counter(message["phone"] for message in await provider.inbox())
    told = system.unknown or set()
    return {
        "once": sum(arrived[phone] == 1 for phone in phones),
        "doubled": sum(arrived[phone] > 1 for phone in phones),
        # What never came and was reported as unknown is known to somebody, so it is not lost.
        "lost": sum(arrived[phone] == 0 for phone in set(phones) - told),
        "unknown": None if system.unknown is None else len(told),
    }


async def until_arrived(provider: Simulator, messages: int, quiet_s: float = 60) -> bool:
    """Return when so many messages have arrived, or False when none has for so long."""
    last, since = 0, time.monotonic()
    while last < messages and time.monotonic() - since < quiet_s:
        await asyncio.sleep(0.02)
        arrived = (await provider.stats())["messages"]
        if arrived > last:
            last, since = arrived, time.monotonic()
    return last >= messages
