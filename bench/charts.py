"""Charts: horizontal stacked bars as SVG, readable on light and dark pages."""

from collections.abc import Callable, Mapping
from html import escape

from bench.figures import Results, kinds

_COLOURS = ("#2f6fb0", "#e08a2e", "#b4413c", "#5b9a5b", "#8064a2", "#6b7785", "#c9a227")
_LEFT, _BAR, _RIGHT, _ROW = 190, 470, 80, 26


def bars(title: str, unit: str, rows: Mapping[str, Mapping[str, float]]) -> str:
    """Return a chart with one bar per row; a row maps its parts to their values."""
    parts = list(dict.fromkeys(part for row in rows.values() for part in row))
    colours = {part: _COLOURS[i % len(_COLOURS)] for i, part in enumerate(parts)}
    longest = max((sum(row.values()) for row in rows.values()), default=0) or 1
    shapes, top = [_text(16, 26, title, size=15, weight="bold")], 44
    if len(parts) > 1:
        legend, top = _legend(colours, top)
        shapes += legend
    for name, row in rows.items():
        x = float(_LEFT)
        shapes.append(_text(_LEFT - 8, top + 17, name, anchor="end"))
        for part, value in row.items():
            width = value / longest * _BAR
            shapes.append(
                f'<rect x="{x:.1f}" y="{top + 3}" width="{width:.1f}" height="{_ROW - 7}"'
                f' fill="{colours[part]}"><title>{escape(part)}: {value:g} {unit}</title></rect>'
            )
            x += width
        shapes.append(_text(x + 6, top + 17, f"{sum(row.values()):,.4g}"))
        top += _ROW
    shapes.append(_text(_LEFT, top + 16, unit, size=12, fill="#555"))
    width, height = _LEFT + _BAR + _RIGHT, top + 28
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        f' height="{height}" role="img" font-family="system-ui, sans-serif">\n'
        f"<title>{escape(title)}</title>\n"
        f'<rect width="{width}" height="{height}" fill="#fff"/>\n'
        + "\n".join(shapes)
        + "\n</svg>\n"
    )


def _legend(colours: Mapping[str, str], top: int) -> tuple[list[str], int]:
    """Return the shapes of the legend, wrapped, and the y coordinate below it."""
    shapes, x = [], 16
    for part, colour in colours.items():
        width = 26 + 7 * len(part)
        if x + width > _LEFT + _BAR + _RIGHT:
            x, top = 16, top + 20
        shapes.append(f'<rect x="{x}" y="{top - 2}" width="12" height="12" fill="{colour}"/>')
        shapes.append(_text(x + 17, top + 8, part, size=12))
        x += width
    return shapes, top + 20


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 13,
    weight: str = "normal",
    anchor: str = "start",
    fill: str = "#222",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y}" font-size="{size}" font-weight="{weight}" fill="{fill}"'
        f' text-anchor="{anchor}">{escape(text)}</text>'
    )


def _chart_steps(found: Results) -> dict[str, str]:
    rows = {}
    for kind, k in kinds(found):
        row = dict.fromkeys(("workflow tasks", "lookups", "send", "waiting for a worker"), 0.0)
        for step, ms in k["steps"].items():
            if step != "start to close":
                row[_stage(step)] += ms
        rows[kind] = row
    return {"steps": bars("Where the time of one send goes", "ms, mean", rows)}


def _stage(step: str) -> str:
    if step.endswith(" waits"):
        return "waiting for a worker"
    if step.startswith("workflow task"):
        return "workflow tasks"
    return "send" if step.startswith("send") else "lookups"


def _chart_peers(found: Results) -> dict[str, str]:
    rate = {name: {"sends": k["perSecond"]} for name, k in kinds(found)}
    cpu = {
        name: dict(
            zip(("worker", "broker or server"), k["cpuSecondsPer1000"].values(), strict=True)
        )
        for name, k in kinds(found)
    }
    return {
        "rate": bars("Messages per second, 50 in flight", "messages/s", rate),
        "cpu": bars("CPU per 1,000 messages", "CPU-seconds", cpu),
    }


def _chart_truth(found: Results) -> dict[str, str]:
    titles = {
        "killed": f"{found['sends']:,} messages, workers killed {found['kills']} times",
        "lostAnswers": f"{found['sends']:,} messages, {found['lostAnswers%']} % of responses lost",
    }
    return {
        file: bars(
            title,
            "messages",
            {
                name: {part: row[part] or 0 for part in ("lost", "doubled", "unknown")}
                for name, row in found[file].items()
            },
        )
        for file, title in titles.items()
    }


CHARTS: dict[str, Callable[[Results], dict[str, str]]] = {
    "latency": _chart_steps,
    "peers": _chart_peers,
    "truth": _chart_truth,
}
