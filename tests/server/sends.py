"""A send under each delivery at once, and what workers have seen of them."""

import json
import re
import zlib
from contextlib import suppress
from pathlib import Path

from temporalio.client import Client

from settings import WorkerSettings
from simulator.process import Simulator
from starters import client as sends
from tests.conftest import Bench, new_phone

BUSY_S = 80
"""What a worker may take to start and look up both contacts on a busy machine."""

POST = b"/send/text"
"""What the request of a text holds, for a relay to stop at."""


class Both:
    """Two sends of the same text, one under each delivery, to a person each."""

    def __init__(self, client: Client, provider: Simulator, settings: WorkerSettings) -> None:
        self.bench = Bench(client, settings)
        self.provider = provider
        self.phones = {delivery: new_phone() for delivery in ("at_least_once", "at_most_once")}
        self.runs: dict[str, sends.Started] = {}

    async def start(self) -> None:
        for delivery, phone in self.phones.items():
            self.runs[delivery] = await self.bench.start(to=phone, message="x", delivery=delivery)

    async def all_arrived(self) -> bool:
        return len(await self.provider.inbox()) == 2

    async def ends(self) -> dict[str, tuple[str, int]]:
        """Wait for the runs; return the outcome and the messages that arrived, by delivery."""
        found = {}
        for delivery, run in self.runs.items():
            state = await sends.get_state(self.bench.client, run.id, wait=True)
            messages = await self.provider.inbox(self.phones[delivery])
            found[delivery] = (str(state.outcome), len(messages))
        return found


def answers(log: Path, status: str = "200") -> int:
    """Return how many sends have ended so, as the workers see it."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return sum(
        line["message"] == "provider call"
        and line["route"].endswith("/send/text")
        and line["status"] == status
        for line in lines
    )


def completions(sent: bytearray) -> set[bytes]:
    """Return the completions of sends among what a worker sent to the server, which is gzipped."""
    found = set()
    for place in re.finditer(rb"\x1f\x8b\x08", sent):
        with suppress(zlib.error):
            message = zlib.decompressobj(wbits=31).decompress(sent[place.start() :])
            if b"message_id" in message:
                found.add(message)
    return found
