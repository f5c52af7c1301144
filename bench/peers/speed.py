"""Speed of each system: messages per second with 50 in flight, and CPU-seconds per 1,000."""

from contextlib import AsyncExitStack

from bench.figures import Results
from bench.peers.systems import PEERS, Ours, Peer, System, running
from bench.peers.truth import until_arrived
from bench.processes import cpu_seconds
from bench.stage import DELAY_MS, Stage, new_phone
from simulator.process import Simulator, simulator


async def measure(stage: Stage, *, sends: int, peers: tuple[Peer, ...] = PEERS) -> Results:
    """Let each system send `sends` messages after a warm-up; the inbox gives the rate."""
    results: Results = {}
    for peer in peers:
        async with AsyncExitStack() as stack:
            provider = await stack.enter_async_context(simulator("--delay-ms", str(DELAY_MS)))
            folder = stage.folder / f"speed-{peer.folder}"
            system = await stack.enter_async_context(running(peer, provider, folder))
            results[peer.name] = await _one(system, provider, sends)
    results["ours"] = await _one(Ours(stage.crew, "at_least_once"), stage.provider, sends)
    return results


async def _one(system: System, provider: Simulator, sends: int) -> Results:
    phones = [new_phone() for _ in range(sends)]
    await provider.contacts(*phones)
    before = (await provider.stats())["messages"]
    # Before the measurement, so that contacts are cached and modules loaded.
    warm = phones[: max(sends // 5, 20)] if not isinstance(system, Ours) else phones
    await system.enqueue(warm)
    await until_arrived(provider, before + len(warm))
    cpu = system.cpu()
    provider_cpu = cpu_seconds(provider.pid)
    await system.enqueue(phones)
    await until_arrived(provider, before + len(warm) + sends)
    used = cpu.per_1000(sends)
    times = [message["at"] for message in await provider.inbox()][-sends:]
    elapsed = times[-1] - times[0]
    return {
        "sends": sends,
        "perSecond": round((sends - 1) / elapsed, 1),
        "cpuSecondsPer1000": used,
        "simulatorBusy": round((cpu_seconds(provider.pid) - provider_cpu) / elapsed, 2),
    }
