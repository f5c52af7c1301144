"""A TCP relay that stops connections at certain bytes, discards what is sent, or cuts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_CHUNK = 65_536


@dataclass(frozen=True)
class Stop:
    """A connection stops when its client sends `marker`: it gets no response until `resume`.

    Only the first `passing` bytes of the chunk with the marker reach the server, and nothing after
    them; None passes everything.
    """

    marker: bytes
    passing: int | None = 0


@dataclass
class Relay:
    """A relay that listens on `port`. Its methods also affect open connections."""

    host: str
    target_port: int
    stop: Stop | None = None
    stopped: int = 0
    """Number of connections that were stopped."""

    holding: bool = False
    swallowed: bytearray = field(default_factory=bytearray)
    """What clients sent after `hold`; the server never gets it."""

    port: int = 0
    _resumed: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def address(self) -> str:
        """Return host and port for clients."""
        return f"127.0.0.1:{self.port}"

    def resume(self) -> None:
        """Pass on the responses of stopped connections."""
        self._resumed.set()

    def hold(self) -> None:
        """Discard what clients send, until `cut`; what the server sends still passes."""
        self.holding = True

    def cut(self) -> None:
        """Reset every connection; new connections work."""
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
            directions = [
                asyncio.create_task(self._up(reader, far, muted)),
                asyncio.create_task(self._down(far_reader, writer, muted)),
            ]
            try:
                await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for direction in directions:
                    direction.cancel()
                await asyncio.gather(*directions, return_exceptions=True)
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
    """Relay a free port of 127.0.0.1 to `target`, a URL or host:port, until the block ends."""
    parts = urlsplit(target if "//" in target else f"//{target}")
    assert parts.hostname
    assert parts.port
    running = Relay(parts.hostname, parts.port, stop)
    server = await asyncio.start_server(running.serve, "127.0.0.1")
    running.port = server.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        server.close()
        running.cut()
        while running._tasks:
            await asyncio.wait(running._tasks)
