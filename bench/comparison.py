"""Our worker compared with a naive one: the same sends through both, in turns, on one server."""

import sys
from collections.abc import Mapping

from bench.figures import Results, total
from bench.stage import Stage, new_phone

NAIVE = (sys.executable, "-m", "bench.naive")
TURNS = 3

TEMPLATE: Mapping[str, object] = {"template": "visa_approved"}
KINDS: Mapping[str, Mapping[str, object]] = {
    "known contact, text": {},
    "new contact, text": {},
    "known contact, template": TEMPLATE,
    "new contact, template": TEMPLATE,
}


async def measure(stage: Stage, *, sends: int) -> Results:
    """Send each kind with 50 in flight; return the results of both workers and their ratios."""
    results: Results = {}
    async with stage.workers(command=NAIVE) as naive_crew:
        crews = {"ours": stage.crew, "naive": naive_crew}
        known = [new_phone() for _ in range(min(sends, 500))]
        for crew in crews.values():
            await crew.warm_up(known)
            await crew.send(to=known[0], **TEMPLATE)
        for kind, fields in KINDS.items():
            turns: dict[str, list[Results]] = {name: [] for name in crews}
            for _ in range(TURNS):
                # In turns, so that other load on the machine affects both.
                for name, crew in crews.items():
                    new = kind.startswith("new")
                    phones = [new_phone() for _ in range(sends)] if new else known
                    turns[name].append(await crew.many(sends, 50, phones, **fields))
            ours, naive = (total(turns[name]) for name in ("ours", "naive"))
            results[kind] = {
                "ours": ours,
                "naive": naive,
                "cpuRatio": round(ours["cpu"] / naive["cpu"], 2),
                "rateRatio": round(ours["perSecond"] / naive["perSecond"], 2),
            }
    return results
