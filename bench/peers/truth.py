"""Messages that are lost, doubled or unknown if workers are killed or responses get lost."""

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
"""Each system resumes the work of a dead worker within 60 s, or never."""

QUIET_S = 15
LOST_ANSWERS = Fault(route="send_*", kind="cut", effect=True, probability=0.05)
DELIVERIES = ("at_least_once", "at_most_once")


async def measure(stage: Stage, *, sends: int, peers: tuple[Peer, ...] = PEERS) -> Results:
    """Put all systems through both trials, at the same time, since speed does not matter here."""
    names = [peer.name for peer in peers] + [Ours(stage.crew, d).name for d in DELIVERIES]
    results: Results = {}
    for trial in ("killed", "lostAnswers"):
        rows = await asyncio.gather(
            *(run_peer(stage, peer, trial, sends) for peer in peers),
            *(_ours(stage, delivery, trial, sends) for delivery in DELIVERIES),
        )
        results[trial] = dict(zip(names, rows, strict=True))
    notes = {"sends": sends, "kills": KILLS, "lostAnswers%": round(LOST_ANSWERS.probability * 100)}
    return notes | results


async def run_peer(stage: Stage, peer: Peer, trial: str, sends: int) -> Results:
    """Put one peer through the trial `killed` or `lostAnswers`."""
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(simulator("--delay-ms", str(DELAY_MS)))
        folder = stage.folder / f"{trial}-{peer.folder}"
        system = await stack.enter_async_context(running(peer, provider, folder))
        return await _run_trial(system, provider, trial, sends)


async def _ours(stage: Stage, delivery: str, trial: str, sends: int) -> Results:
    async with (
        simulator("--delay-ms", str(DELAY_MS)) as provider,
        # Temporal notices the send of a killed worker 3 s after this deadline.
        stage.workers(provider=provider, CGB_TIMEOUT="5000") as crew,
    ):
        return await _run_trial(Ours(crew, delivery), provider, trial, sends)


async def _run_trial(system: System, provider: Simulator, trial: str, sends: int) -> Results:
    phones = [new_phone() for _ in range(sends)]
    await provider.contacts(*phones)
    before = (await provider.stats())["messages"]
    if trial == "lostAnswers":
        await provider.faults(LOST_ANSWERS)
    quiet_s = QUIET_AFTER_KILLS_S if trial == "killed" else QUIET_S
    enqueuing = asyncio.create_task(system.enqueue(phones))
    assert await until_arrived(provider, before + 1), "no message arrives"
    if trial == "killed":
        for number in range(1, KILLS + 1):
            part = sends * number // (KILLS + 1)
            if not await until_arrived(provider, before + part, quiet_s):
                break
            system.kill()
    await until_arrived(provider, before + 10 * sends, quiet_s)
    await enqueuing
    arrived = Counter(message["phone"] for message in await provider.inbox())
    unknown = system.unknown or set()
    return {
        "once": sum(arrived[phone] == 1 for phone in phones),
        "doubled": sum(arrived[phone] > 1 for phone in phones),
        # A message that the system reports as unknown is not lost.
        "lost": sum(arrived[phone] == 0 for phone in set(phones) - unknown),
        "unknown": None if system.unknown is None else len(unknown),
    }


async def until_arrived(provider: Simulator, messages: int, quiet_s: float = 60) -> bool:
    """Return whether `messages` have arrived; give up after `quiet_s` seconds without a new one."""
    last, since = 0, time.monotonic()
    while last < messages and time.monotonic() - since < quiet_s:
        await asyncio.sleep(0.02)
        arrived = (await provider.stats())["messages"]
        if arrived > last:
            last, since = arrived, time.monotonic()
    return last >= messages
