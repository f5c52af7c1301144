"""Compares the report of a batch with what the simulator saw, row by row, after kills."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from send_whatsapp.contract.batch import Counts, Row, RowOutcome

REPORTED_AFTER_S = 2.0
"""What was accepted longer before a kill is known: it is neither unknown nor sent again."""

STILL_ARRIVES_S = 0.5
"""A request that a worker wrote before it was killed is counted up to so much later."""

EVENTS_WARNING = 10_240
"""Events of a history at which the server warns."""

MUST_BE_ZERO = (
    "missing",
    "twiceInReport",
    "acceptedButNotArrived",
    "arrivedButDenied",
    "unknownWithoutKill",
    "doubledWithoutKill",
    "countsDiffer",
    "wrongStatus",
    "pauses",
)


@dataclass(frozen=True)
class Kill:
    """Workers were killed between these two times (seconds since 1970)."""

    began: float
    ended: float


@dataclass
class Sends:
    """When the provider received the requests to send to one phone, and when messages arrived."""

    requests: list[float] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)

    def may_be_lost_by(self, kill: Kill) -> bool:
        """Return whether the first send was in flight at the kill, or could not be reported yet."""
        if not self.requests or min(self.requests) > kill.ended + STILL_ARRIVES_S:
            return False
        return not self.arrivals or min(self.arrivals) >= kill.began - REPORTED_AFTER_S


def seen_sends(
    requests: Sequence[dict[str, Any]], inbox: Sequence[dict[str, Any]]
) -> dict[str, Sends]:
    """Return the sends by phone, from the requests to send and the inbox of the simulator."""
    sends: dict[str, Sends] = {}
    for request in requests:
        # A contact's id is the digits of its phone.
        phone = "+" + request["path"].split("/")[1]
        sends.setdefault(phone, Sends()).requests.append(request["at"])
    for message in inbox:
        sends.setdefault(message["phone"], Sends()).arrivals.append(message["at"])
    return sends


def compare(
    rows: Sequence[Row],
    report: Sequence[RowOutcome],
    counts: Counts,
    sends: dict[str, Sends],
    kills: Sequence[Kill],
) -> dict[str, Any]:
    """Return counts of what agrees and what does not; `lostPerKill` as far as a kill explains it.

    A row that the provider never received can be unknown too: its group was lost before its turn.
    """
    by_outcome: Counter[str] = Counter(row.outcome for row in report)
    reported = {row.key for row in report}
    arrived = {phone for phone, sent in sends.items() if sent.arrivals}
    doubled = {phone for phone, sent in sends.items() if len(sent.arrivals) > 1}
    unknown = {row.to for row in report if row.outcome == "unknown"}
    received = {phone: sends[phone] for phone in (unknown | doubled) & sends.keys()}
    lost_by = {
        phone: [number for number, kill in enumerate(kills) if sent.may_be_lost_by(kill)]
        for phone, sent in received.items()
    }
    without_kill = {phone for phone, numbers in lost_by.items() if not numbers}
    # Later kills find a row that was lost before in flight again, so the first one counts.
    per_kill = Counter(numbers[0] for numbers in lost_by.values() if numbers)
    return {
        "rows": len(rows),
        "outcomes": dict(by_outcome),
        "missing": len({row.key for row in rows} - reported),
        "twiceInReport": len(report) - len(reported),
        "doubled": len(doubled),
        "acceptedButNotArrived": sum(
            row.outcome == "accepted" and row.to not in arrived for row in report
        ),
        "arrivedButDenied": sum(
            row.outcome in ("failed", "cancelled") and row.to in arrived for row in report
        ),
        "unknownThatArrived": len(unknown & arrived),
        "unknownNeverReceived": len(unknown - sends.keys()),
        "unknownWithoutKill": len(unknown & without_kill),
        "doubledWithoutKill": len(doubled & without_kill),
        "lostPerKill": [per_kill[number] for number in range(len(kills))],
        "countsDiffer": {
            outcome: count
            for outcome, count in counts.model_dump().items()
            if count != by_outcome.get(outcome, 0)
        },
    }


def broken_promises(found: dict[str, Any], *, in_flight: int, twice_allowed: bool) -> list[str]:
    """Return the results that break a promise."""
    zero = (*MUST_BE_ZERO, *([] if twice_allowed else ["doubled"]))
    broken = [name for name in zero if found[name]]
    if found["mostEvents"] >= EVENTS_WARNING:
        broken.append("mostEvents")
    if max(found["lostPerKill"], default=0) > in_flight:
        broken.append("lostPerKill")
    if found["outcomes"].get("unknown", 0) > in_flight * len(found["lostPerKill"]):
        broken.append("unknown")
    return broken
