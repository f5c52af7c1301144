"""The messages of the chaos test of turns, and which promises they broke."""

from collections.abc import Sequence
from dataclasses import dataclass

from send_whatsapp.contract.fields import Delivery
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.contract.result import Outcome

PEOPLE = 30
MESSAGES_EACH = 10
ROWS_EACH = 4
COMMANDS_EACH = 3
"""Of the messages to each person, those in the batch and those of the command line; the Python
client sends the others, each after the one before waits for its turn or has ended."""


@dataclass
class Words:
    """One message: to whom, where it came from, its words, its outcome and how often it arrived."""

    person: int
    number: int
    delivery: Delivery
    source: str
    outcome: Outcome = "running"
    arrived: int = 0
    arrived_at: float = 0.0

    @property
    def phone(self) -> str:
        """The person's phone number."""
        return f"+49170{self.person:08d}"

    @property
    def id(self) -> str:
        """The key of the message."""
        return f"turns-{self.person}-{self.number}"

    @property
    def request(self) -> SendWhatsAppRequest:
        """The request that sends it."""
        return SendWhatsAppRequest(
            to=self.phone,
            template="visa_approved",
            variables={"name": self.id},
            delivery=self.delivery,
        )

    @property
    def text(self) -> str:
        """What must arrive."""
        return f"Dear {self.id}, your visa is approved."

    @property
    def broken(self) -> str | None:
        """The promise that was broken, or None."""
        if self.outcome == "running":
            return "the run did not close"
        if self.outcome == "accepted" and not self.arrived:
            return "accepted, but its words did not arrive"
        if self.outcome in ("failed", "cancelled") and self.arrived:
            return f"{self.outcome}, but it arrived"
        if self.arrived > 1 and self.delivery == "at_most_once":
            return "arrived twice under at_most_once"
        return None


def all_words() -> list[Words]:
    """Return every message; each guarantee has half of those of every source."""
    words = []
    for person in range(PEOPLE):
        for number in range(MESSAGES_EACH):
            source = "client"
            if number < ROWS_EACH:
                source = "batch"
            elif number < ROWS_EACH + COMMANDS_EACH:
                source = "command line"
            delivery: Delivery = "at_most_once" if (person + number) % 2 else "at_least_once"
            words.append(Words(person, number, delivery, source))
    return words


def broken(words: Sequence[Words], arrived: Sequence[str]) -> list[str]:
    """Return every broken promise: of single messages, of their order, and words of nobody."""
    found = [f"{one.id} ({one.source}): {one.broken}" for one in words if one.broken]
    known = {one.text for one in words}
    found += [f"words that nobody sent: {text}" for text in arrived if text not in known]
    for source in ("batch", "client"):
        for person in range(PEOPLE):
            times = [
                one.arrived_at
                for one in words
                if one.person == person and one.source == source and one.arrived
            ]
            if times != sorted(times):
                found.append(f"person {person}: the messages of the {source} arrived out of order")
    return found
