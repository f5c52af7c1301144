"""What a chaos run found: how each send ended, what arrived, and which promise was broken."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Self

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from send_whatsapp.contract.fields import Delivery
from send_whatsapp.contract.result import Outcome

ENDS: tuple[Outcome, ...] = ("accepted", "failed", "unknown", "cancelled")


@dataclass
class Sent:
    """One send: what was asked, how its run stands, and the messages that arrived."""

    id: str
    delivery: Delivery
    phone: str
    outcome: Outcome = "running"
    arrived: int = 0

    @classmethod
    def numbered(cls, seed: int, number: int) -> Self:
        """Return the send with this number, to a person of its own."""
        delivery: Delivery = "at_most_once" if number % 2 else "at_least_once"
        return cls(f"chaos-{seed}-{number}", delivery, f"+49160{number:08d}")

    @property
    def doubled(self) -> bool:
        """Whether the message came more than once."""
        return self.arrived > 1

    @property
    def lost(self) -> bool:
        """Whether the run says it was accepted, and nothing arrived."""
        return self.outcome == "accepted" and self.arrived == 0

    @property
    def broken(self) -> str | None:
        """Which promise was broken, in words."""
        if self.outcome == "running":
            return "the run did not close"
        if self.lost:
            return "accepted, but nothing arrived"
        if self.outcome in ("failed", "cancelled") and self.arrived:
            return f"{self.outcome}, but it arrived"
        if self.doubled and self.delivery == "at_most_once":
            return "arrived twice under at_most_once"
        return None


@dataclass
class Report:
    """What a chaos run found, and what it went through."""

    seed: int
    sent: list[Sent]
    troubles: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    seconds: float = 0.0

    @property
    def broken(self) -> list[str]:
        """Each broken promise, with the id of its run."""
        return [f"{one.id}: {one.broken}" for one in self.sent if one.broken]


def table(sent: Iterable[Sent]) -> Table:
    """Return the figures by delivery."""
    grid = Table(Column("delivery", no_wrap=True), *("sent", *ENDS, "doubled", "lost"), box=SIMPLE)
    for delivery in ("at_least_once", "at_most_once"):
        ours = [one for one in sent if one.delivery == delivery]
        by_outcome = Counter(one.outcome for one in ours)
        figures = [
            len(ours),
            *(by_outcome[end] for end in ENDS),
            sum(one.doubled for one in ours),
            sum(one.lost for one in ours),
        ]
        grid.add_row(delivery, *map(str, figures))
    return grid


def show(report: Report, console: Console) -> None:
    """Print the table, what happened meanwhile, and every broken promise."""
    console.print(table(report.sent))
    happened = ", ".join(f"{what} {times}" for what, times in sorted(report.troubles.items()))
    took = timedelta(seconds=round(report.seconds))
    console.print(f"{report.calls} provider calls in {took}; trouble: {happened}", soft_wrap=True)
    for line in report.broken:
        console.print(f"BROKEN {line}", style="red", soft_wrap=True)
    console.print(f"seed {report.seed}: " + ("BROKEN" if report.broken else "every promise kept"))
