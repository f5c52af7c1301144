"""The report of a chaos run: how each send ended, what arrived, and which promises were broken."""

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
    """One send: its delivery, the outcome of its run, and the number of messages that arrived."""

    id: str
    delivery: Delivery
    phone: str
    outcome: Outcome = "running"
    arrived: int = 0

    @classmethod
    def numbered(cls, seed: int, number: int) -> Self:
        """Return the send with this number, to a phone that no other send uses."""
        delivery: Delivery = "at_most_once" if number % 2 else "at_least_once"
        return cls(f"chaos-{seed}-{number}", delivery, f"+49160{number:08d}")

    @property
    def doubled(self) -> bool:
        """Whether the message arrived more than once."""
        return self.arrived > 1

    @property
    def lost(self) -> bool:
        """Whether the run was accepted although nothing arrived."""
        return self.outcome == "accepted" and self.arrived == 0

    @property
    def broken(self) -> str | None:
        """The promise that was broken, or None."""
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
    """The sends of a chaos run, and the faults that it injected."""

    seed: int
    sent: list[Sent]
    faults: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    seconds: float = 0.0

    @property
    def broken(self) -> list[str]:
        """Every broken promise, with the id of its run."""
        return [f"{one.id}: {one.broken}" for one in self.sent if one.broken]


def table(sent: Iterable[Sent]) -> Table:
    """Return the counts by delivery."""
    grid = Table(Column("delivery", no_wrap=True), *("sent", *ENDS, "doubled", "lost"), box=SIMPLE)
    for delivery in ("at_least_once", "at_most_once"):
        ours = [one for one in sent if one.delivery == delivery]
        by_outcome = Counter(one.outcome for one in ours)
        counts = [
            len(ours),
            *(by_outcome[end] for end in ENDS),
            sum(one.doubled for one in ours),
            sum(one.lost for one in ours),
        ]
        grid.add_row(delivery, *map(str, counts))
    return grid


def show(report: Report, console: Console) -> None:
    """Print the table, the injected faults and every broken promise."""
    console.print(table(report.sent))
    faults = ", ".join(f"{fault} {times}" for fault, times in sorted(report.faults.items()))
    took = timedelta(seconds=round(report.seconds))
    console.print(f"{report.calls} provider calls in {took}; faults: {faults}", soft_wrap=True)
    for line in report.broken:
        console.print(f"BROKEN {line}", style="red", soft_wrap=True)
    console.print(f"seed {report.seed}: " + ("BROKEN" if report.broken else "every promise kept"))
