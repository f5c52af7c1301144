"""Plain asyncio over the provider's client, as the upper limit for a batch: lookup, then send.

`python -m bench.plain_sends IN_FLIGHT` sends to each phone number on standard input.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bench.processes import Program
from send_whatsapp.cgb.client import Budget, CGBClient
from simulator.process import Simulator
from tools.dev_server import ROOT

TIMEOUT_S = 30


class PlainSends:
    """The running program."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def send(self, phones: Sequence[str]) -> None:
        """Let it send to these phones; return before it has."""
        assert self.program.stdin is not None
        self.program.stdin.write("".join(f"{phone}\n" for phone in phones).encode())
        self.program.stdin.flush()


@asynccontextmanager
async def plain_sends(provider: Simulator, in_flight: int) -> AsyncIterator[PlainSends]:
    """Run the program until the block ends."""
    program = Program(
        [sys.executable, "-m", "bench.plain_sends", str(in_flight)],
        environment=dict(os.environ) | {"CGB_API_URL": provider.url, "CGB_API_KEY": provider.key},
        folder=ROOT,
        stdin=subprocess.PIPE,
    )
    try:
        yield PlainSends(program)
    finally:
        program.kill()


async def _send(client: CGBClient, phone: str) -> None:
    contact = await client.find_contact(phone, Budget.of(TIMEOUT_S, phone))
    assert contact is not None, "the provider does not know the contact"
    await client.send_text(contact.id, "Hello", Budget.of(TIMEOUT_S, phone))


async def main(in_flight: int) -> None:
    """Send until standard input ends."""
    limit = asyncio.Semaphore(in_flight)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    async with (
        CGBClient(os.environ["CGB_API_URL"], os.environ["CGB_API_KEY"]) as client,
        asyncio.TaskGroup() as sends,
    ):

        async def one(phone: str) -> None:
            try:
                await _send(client, phone)
            finally:
                limit.release()

        while line := await lines.readline():
            await limit.acquire()
            sends.create_task(one(line.decode().strip()))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
