"""Writes tables and charts of the results, between the markers of docs/performance.md."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bench.charts import CHARTS
from bench.cluster import cluster
from bench.figures import Results, kinds
from bench.targets import targets
from tools.dev_server import ROOT

PAGE = ROOT / "docs" / "performance.md"
IMAGES = ROOT / "docs" / "images"
CPU = ("worker CPU-s per 1,000", "server")


def write(results: Results, page: Path = PAGE, images: Path = IMAGES) -> None:
    """Update the tables of the page and the charts, for the parts that are in `results`.

    Raises ValueError if the page lacks the markers of a table.
    """
    images.mkdir(parents=True, exist_ok=True)
    for name, chart in CHARTS.items():
        if name in results:
            for file, svg in chart(results[name]).items():
                (images / f"{file}.svg").write_text(svg)
    text = page.read_text()
    for name, lines in _tables(results).items():
        first, last = f"<!-- bench:{name} -->\n", f"<!-- /bench:{name} -->"
        before, found, rest = text.partition(first)
        _, ends, after = rest.partition(last)
        if not found or not ends:
            raise ValueError(f"{page} has no markers for the table {name}")
        text = f"{before}{first}{lines}\n{last}{after}"
    page.write_text(text)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table with a text column, followed by columns of numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def _tables(results: Results) -> dict[str, str]:
    found = {name: make(results[name]) for name, make in TABLES.items() if name in results}
    loads = [part["loadBefore"] for part in results.values() if "loadBefore" in part]
    if "machine" in found and loads:
        dates = {name: part["measuredOn"] for name, part in results.items() if "measuredOn" in part}
        first, *later = sorted(set(dates.values()))
        found["machine"] += (
            f" Measured on {first}"
            + "".join(
                f", {', '.join(name for name in dates if dates[name] == date)} on {date}"
                for date in later
            )
            + f". Load average before the parts: {min(loads)} to {max(loads)}."
        )
    found["targets"] = table(["target", "measured", "met"], targets(results))
    if "throughput" in results and "latency" in results:
        found["cluster"] = cluster(results)
    return found


def _machine(found: Results) -> str:
    return (
        f"{found['cores']} cores ({found['cpu']}), {found['memoryGiB']} GiB, {found['system']};"
        f" Python {found['python']}, Temporal CLI {found['temporalCli']}."
    )


def _latency(found: Results) -> str:
    rows = [
        (kind, k["providerCalls"], k["providerMs"], *k["addedMs"].values(), k["events"])
        for kind, k in kinds(found)
    ]
    head = ["single send", "provider calls", "provider ms"]
    head += ["added p50 ms", "p95", "p99", "events"]
    return table(head, rows)


def _throughput(found: Results) -> str:
    rows = [
        (kind, k["sends"], k["perSecond"], *k["ms"].values(), *k["cpuSecondsPer1000"].values())
        for kind, k in kinds(found)
    ]
    head = ["texts to cached contacts", "sends", "sends/s", "p50 ms", "p95", "p99"]
    return table([*head, *CPU], rows)


def _burst(found: Results) -> str:
    rows = [
        ("accepted", found["statuses"].get("COMPLETED", 0)),
        ("messages in the inbox", found["arrived"]),
        (f"timeouts in {found['sampledHistories']:,} histories", found["timeoutsInSample"]),
        ("sends/s", found["perSecond"]),
        *((f"{name} ms from start to end", ms) for name, ms in found["ms"].items()),
    ]
    return table([f"{found['sends']:,} sends started at once", "value"], rows)


def _batch(found: Results) -> str:
    rows = [
        (f"{kind}, {name}", k["sends"], k["perSecond"], *k["cpuSecondsPer1000"].values())
        for kind, systems in kinds(found)
        for name, k in kinds(systems)
        if "perSecond" in k
    ]
    ratios = [
        (f"{kind}, rate to that of {name}", ratio)
        for kind, systems in kinds(found)
        for name, ratio in systems.get("rateRatio", {}).items()
    ]
    events = found["known contacts"]["histories"]
    urgent = found["urgent"]
    single = [
        ("alone", *urgent["aloneMs"].values()),
        ("while a batch runs", *urgent["besideABatchMs"].values()),
    ]
    return "\n\n".join(
        [
            table(["rows", "sends", "sends/s", *CPU], rows),
            table(["batch", "ratio"], ratios),
            table(["history of", "events"], [(name, k["events"]) for name, k in events.items()]),
            table(["single send", "p50 ms", "p95", "p99"], single),
        ]
    )


def _standalone(found: Results) -> str:
    rows = [
        (name, k["sends"], k["perSecond"], k["p95Ms"], *k["cpuSecondsPer1000"].values())
        for name, k in kinds(found)
    ]
    return table(["text to a known contact", "sends", "sends/s", "p95 ms", *CPU], rows)


def _turns(found: Results) -> str:
    head = ["messages", "with turns: CPU-s per 1,000", "without", "ratio", "ratio of each round"]
    rows = [
        [
            name,
            *(found[part]["cpuSecondsPer1000"][each] for each in ("with", "without")),
            found[part]["cpuRatio"],
            ", ".join(map(str, found[part]["cpuRatios"])),
        ]
        for name, part in (("single sends", "single"), ("rows of a batch", "batch"))
    ]
    alone = found["alone"]
    added = [["one send alone", *alone["p50Ms"].values(), alone["addedMs"]]]
    return "\n\n".join(
        [
            table(head, rows),
            table(["p50 ms", "with turns", "without", "added"], added),
        ]
    )


def _comparison(found: Results) -> str:
    rows = []
    for kind, k in kinds(found):
        for name in ("ours", "naive"):
            used = k[name]["cpuSecondsPer1000"]
            rows.append((f"{kind}, {name}", k[name]["perSecond"], k[name]["p95Ms"], *used.values()))
        rows.append((f"{kind}, ratio", k["rateRatio"], "", f"{k['cpuRatio']} (both)", ""))
    return table(["50 in flight", "sends/s", "p95 ms", *CPU], rows)


def _slow_provider(found: Results) -> str:
    figures = ("providerMs", "resolutionP50Ms", "resolutionP99Ms", "sendP50Ms", "sendP99Ms")
    rows = [(f"{kind} contact", *(k[figure] for figure in figures)) for kind, k in kinds(found)]
    head = ["provider with 300 ms, 50 in flight", "provider ms of lookups"]
    return table([*head, "resolution p50 ms", "p99", "send p50 ms", "p99"], rows)


def _scale(found: Results) -> str:
    rows = [
        (count, k["perSecond"], k["ms"]["p95"], *k["cpuSecondsPer1000"].values())
        for count, k in kinds(found)
    ]
    return table(["workers, 200 in flight", "sends/s", "p95 ms", *CPU], rows)


def _soak(found: Results) -> str:
    step = found["sends"] // (len(found["workerMiB"]) - 1)
    rows = [(f"{i * step:,}", mib) for i, mib in enumerate(found["workerMiB"])]
    return table(["sends so far", "worker MiB"], rows)


def _peers(found: Results) -> str:
    rows = [
        (name, k["sends"], k["perSecond"], *k["cpuSecondsPer1000"].values(), k["simulatorBusy"])
        for name, k in kinds(found)
    ]
    head = ["50 in flight", "sends", "sends/s", CPU[0], "broker or server"]
    return table([*head, "cores used by the simulator"], rows)


def _truth(found: Results) -> str:
    rows = [
        (name, *_outcomes(found["killed"][name]), *_outcomes(found["lostAnswers"][name]))
        for name in found["killed"]
    ]
    killed = [f"{found['kills']} kills: lost", "doubled", "unknown"]
    cut = [f"{found['lostAnswers%']} % lost responses: lost", "doubled", "unknown"]
    return table([f"{found['sends']:,} messages", *killed, *cut], rows)


def _outcomes(row: Results) -> tuple[int, int, int | None]:
    return row["lost"], row["doubled"], row["unknown"]


TABLES: dict[str, Callable[[Results], str]] = {
    "machine": _machine,
    "latency": _latency,
    "throughput": _throughput,
    "burst": _burst,
    "standalone": _standalone,
    "batch": _batch,
    "turns": _turns,
    "comparison": _comparison,
    "slowProvider": _slow_provider,
    "scale": _scale,
    "soak": _soak,
    "peers": _peers,
    "truth": _truth,
}
