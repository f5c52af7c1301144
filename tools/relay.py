"""A TCP relay that stops connections at certain bytes, swallows what is sent, or cuts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_CHUNK = 65_536


@dataclass(frozen=True)
class Stop:
    """A connection stops where its client sends `marker`: no answer comes back until `resume`.

    Of what the client sends together with the marker `passing` bytes go on, and nothing after
    them; with None everything goes on.
    """

    marker: bytes
    passing: int | None = 0


@dataclass
class Relay:
    """A listening relay. Changes hold for the connections that are open, too."""

    host: str
    target_port: int
    stop: Stop | None = None
    stopped: int = 0
    """Connections that came to the stop."""

    holding: bool = False
    swallowed: bytearray = field(default_factory=bytearray)
    """What clients sent while it held, all connections together; it never goes on."""

    port: int = 0
    _resumed: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def address(self) -> str:
        """Return host and port for clients."""
        return f"127.0.0.1:{self.port}"

    def resume(self) -> None:
        """Let the answers of stopped connections come back."""
        self._resumed.set()

    def hold(self) -> None:
        """Swallow what clients send, until `cut`; what servers send goes on."""
        self.holding = True

    def cut(self) -> None:
        """Reset every connection; new ones pass."""
        self.holding = False
        for task in self._tasks:
            task.cancel()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection until either end closes it."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        far = None
        with suppress(OSError, asyncio.CancelledError):
            far_reader, far = await asyncio.open_connection(self.host, self.target_port)
            muted = asyncio.Event()
            ways = [
                asyncio.create_task(self._up(reader, far, muted)),
                asyncio.create_task(self._down(far_reader, writer, muted)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        self._tasks.discard(task)
        for end in (writer, far):
            if end:
                end.transport.abort()

    async def _up(
        self, reader: asyncio.StreamReader, far: asyncio.StreamWriter, muted: asyncio.Event
    ) -> None:
        passing: int | None = None
        while chunk := await reader.read(_CHUNK):
            if self.holding:
                self.swallowed += chunk
                continue
            if self.stop and not muted.is_set() and self.stop.marker in chunk:
                muted.set()
                self.stopped += 1
                passing = self.stop.passing
            if passing is not None:
                chunk, passing = chunk[:passing], 0
            far.write(chunk)
            await far.drain()

    async def _down(
        self, far_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, muted: asyncio.Event
    ) -> None:
        while True:
            chunk = await far_reader.read(_CHUNK)
            if muted.is_set():
                await self._resumed.wait()
            if not chunk:
                return
            writer.write(chunk)
            await writer.drain()


@asynccontextmanager
async def relay(target: str, stop: Stop | None = None) -> AsyncIterator[Relay]:
    """Relay a free port of 127.0.0.1 to the target, a URL or `host:port`, during the block."""
    where = urlsplit(target if "//" in target else f"//{target}")
    assert where.hostname
    assert where.port
    running = Relay(where.hostname, where.port, stop)
    server = await asyncio.start_server(running.serve, "127.0.0.1")
    running.port = server.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        server.close()
        running.cut()
        while running._tasks:
            await asyncio.wait(running._tasks)
