"""Ours beside the naive form: the same sends through both, by turns, on one server."""

import sys

from bench.figures import Results
from bench.stage import Crew, Stage, new_phone

NAIVE = (sys.executable, "-m", "bench.naive")
TURNS = 3


async def measure(stage: Stage, *, sends: int) -> Results:
    """Send texts with 50 in flight to known contacts, then to new ones; return both and ratios."""
    results: Results = {}
    async with stage.workers(words=NAIVE) as naive_crew:
        crews = {"ours": stage.crew, "naive": naive_crew}
        phones = [new_phone() for _ in range(min(sends, 500))]
        for crew in crews.values():
            await crew.warm_up(phones)
        for kind in ("known contact", "new contact"):
            turns: dict[str, list[Results]] = {name: [] for name in crews}
            for _ in range(TURNS):
                # By turns, so that whatever else the machine does meets both.
                for name, crew in crews.items():
                    to = phones if kind == "known contact" else [new_phone() for _ in range(sends)]
                    turns[name].append(await _turn(crew, sends, to))
            ours, naive = (_whole(turns[name]) for name in ("ours", "naive"))
            results[kind] = {
                "ours": ours,
                "naive": naive,
                "cpuRatio": round(ours["cpu"] / naive["cpu"], 2),
                "rateRatio": round(ours["perSecond"] / naive["perSecond"], 2),
            }
    return results


async def _turn(crew: Crew, sends: int, phones: list[str]) -> Results:
    return await crew.many(sends, 50, phones)


def _whole(turns: list[Results]) -> Results:
    """Return the mean of equal turns; the rate of the whole is that of the summed times."""
    used = {
        name: round(sum(turn["cpuSecondsPer1000"][name] for turn in turns) / len(turns), 1)
        for name in ("worker", "server")
    }
    return {
        "sends": sum(turn["sends"] for turn in turns),
        "perSecond": round(len(turns) / sum(1 / turn["perSecond"] for turn in turns), 1),
        "p95Ms": max(turn["ms"]["p95"] for turn in turns),
        "cpuSecondsPer1000": used,
        "cpu": round(sum(used.values()), 1),
    }
