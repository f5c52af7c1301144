"""The simulated account in memory: contacts, flows, inbox, requests, faults, and their reset."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from simulator.faults import Rules
from simulator.flows import DEFAULT_FLOWS
from simulator.records import Contact, Flow, InboxEntry, RequestRecord, Settings, Stats, digits

MAX_REQUESTS = 100_000
"""Requests kept in the log; the inbox, being the truth, is never cut."""


class Saved(BaseModel):
    """What a data file keeps from one start to the next."""

    contacts: list[Contact] = []
    inbox: list[InboxEntry] = []


class State:
    """Everything the simulator knows; one event loop changes it, so nothing is locked."""

    def __init__(
        self, settings: Settings | None = None, flows: Iterable[Flow] = DEFAULT_FLOWS
    ) -> None:
        """Start an account without contacts; a reset comes back to these settings and flows."""
        self._start = (settings or Settings()).model_copy(), list(flows)
        self.faults = Rules()
        self._epoch = 0
        self._changed = asyncio.Event()
        self.reset()

    def reset(self) -> None:
        """Forget everything; requests still in flight neither take effect nor are answered."""
        self._epoch += 1
        self.settings = self._start[0].model_copy()
        self.flows = list(self._start[1])
        self.faults.install(())
        self.contacts: dict[str, Contact] = {}
        self.inbox: list[InboxEntry] = []
        self.requests: deque[RequestRecord] = deque(maxlen=MAX_REQUESTS)
        self._by_digits: dict[str, list[str]] = {}
        self._calls: deque[float] = deque()
        self._routes: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._in_flight = self._max_in_flight = 0
        self._notify()

    @property
    def epoch(self) -> int:
        """The number of resets; a request that began under another one counts no more."""
        return self._epoch

    def add_contact(self, contact: Contact) -> None:
        """Add or replace a contact; it becomes the newest of its phone number."""
        ids = self._by_digits.setdefault(digits(contact.phone), [])
        if contact.id in ids:
            ids.remove(contact.id)
        ids.insert(0, contact.id)
        self.contacts[contact.id] = contact

    def contacts_of(self, phone: str) -> list[Contact]:
        """Return the contacts of a phone number in any notation, newest first."""
        return [self.contacts[id] for id in self._by_digits.get(digits(phone), [])]

    def flow(self, flow_id: str) -> Flow | None:
        """Return the flow of this id."""
        return next((flow for flow in self.flows if str(flow.id) == flow_id), None)

    def deliver(self, contact: Contact, **entry: Any) -> None:
        """Put a message on the contact's phone: the one place where something arrives."""
        self.inbox.append(
            InboxEntry(
                id=len(self.inbox) + 1,
                contact_id=contact.id,
                phone=contact.phone,
                received_at=datetime.now(UTC),
                **entry,
            )
        )
        self._notify()

    def over_limit(self) -> bool:
        """Count a call against the last minute; return whether it is one too many."""
        if self.settings.rate_limit is None:
            return False
        now = time.monotonic()
        while self._calls and self._calls[0] <= now - 60:
            self._calls.popleft()
        if len(self._calls) >= self.settings.rate_limit:
            return True
        self._calls.append(now)
        return False

    def began(self, record: RequestRecord) -> None:
        """Log a request whose head has come."""
        self.requests.append(record)
        self._routes[record.route] += 1
        self._in_flight += 1
        self._max_in_flight = max(self._max_in_flight, self._in_flight)

    def arrived(self, record: RequestRecord) -> None:
        """Note that the request's body is complete."""
        record.arrived_at = datetime.now(UTC)
        self._notify()

    def answered(self, record: RequestRecord, status: int) -> None:
        """Note which status goes out."""
        record.status = status
        record.answered_at = datetime.now(UTC)
        self._statuses[str(status)] += 1

    def ended(self, epoch: int) -> None:
        """Note that a request is over, answered or not."""
        if epoch == self._epoch:
            self._in_flight -= 1

    def stats(self) -> Stats:
        """Return the counts."""
        return Stats(
            requests=self._routes,
            statuses=self._statuses,
            inbox=Counter(entry.kind for entry in self.inbox),
            contacts=len(self.contacts),
            in_flight=self._in_flight,
            max_in_flight=self._max_in_flight,
        )

    async def change(self) -> None:
        """Wait until a request or a message arrives."""
        await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def load(self, path: Path) -> None:
        """Take contacts and inbox from a file, where there is one."""
        if path.exists():
            saved = Saved.model_validate_json(path.read_bytes())
            self.inbox = saved.inbox
            for contact in saved.contacts:
                self.add_contact(contact)

    def save(self, path: Path) -> None:
        """Keep contacts and inbox in a file."""
        saved = Saved(contacts=list(self.contacts.values()), inbox=self.inbox)
        path.write_text(saved.model_dump_json())
