"""All connections of the gateway together: fewer than the process may have open files."""

import asyncio
import errno
import logging
import resource
import socket
import time
from collections.abc import Callable
from typing import Protocol

from send_whatsapp.gateway.log_limit import LogLimit

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 4096
OTHER_FILES = 64
"""Open files that are not connections: the log, connections to Temporal and to exporters."""

IDLE_S = 0.5
"""How long every connection may be idle, even if others wait for its place."""

ACCEPTED_AT_ONCE = 32
CHECK_S = 0.02
NO_FILE_S = 0.5
NO_FILE_LEFT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Connection(Protocol):
    """What `Connections` needs of a connection."""

    def abort(self) -> None:
        """Close the connection at once; `Connections.ended` follows."""


def max_connections() -> int:
    """Return how many connections this process may have."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(min(files - OTHER_FILES, MAX_CONNECTIONS), 16)


class Connections:
    """Accepts connections. At the limit, the one that has been idle for longest makes room.

    Idle is a connection without a complete request head. A new connection waits for room before it
    is accepted, as it does while the process is too busy to accept it.
    """

    def __init__(self, limit: int) -> None:
        """Have at most `limit` connections at once."""
        self._limit = limit
        self._open = 0
        self._idle_since: dict[Connection, float] = {}
        self._log_limit = LogLimit(1)

    async def accept(
        self, listening: socket.socket, make_protocol: Callable[[], asyncio.Protocol]
    ) -> None:
        """Accept connections until cancelled; each gets a protocol, which tells how it goes on."""
        loop = asyncio.get_running_loop()
        connecting: set[asyncio.Task[object]] = set()
        listening.setblocking(False)
        while True:
            for _ in range(ACCEPTED_AT_ONCE):
                await self._room()
                try:
                    accepted, _ = await loop.sock_accept(listening)
                except OSError as error:
                    await self._not_accepted(error)
                    continue
                self._open += 1
                task = loop.create_task(loop.connect_accepted_socket(make_protocol, accepted))
                connecting.add(task)
                task.add_done_callback(connecting.discard)
            # Accepting does not give way to other work as long as connections are waiting.
            await asyncio.sleep(0)

    def is_idle(self, connection: Connection) -> None:
        """Note that this connection waits for a request."""
        self._idle_since.setdefault(connection, time.monotonic())

    def is_busy(self, connection: Connection) -> None:
        """Note that this connection works on a request."""
        self._idle_since.pop(connection, None)

    def ended(self, connection: Connection) -> None:
        """Note that this connection is closed."""
        self.is_busy(connection)
        self._open -= 1

    async def _room(self) -> None:
        """Return when there may be one more connection."""
        while self._open >= self._limit:
            self._log(
                f"all {self._limit} connections are in use: those that have been idle for longest"
                " are closed"
            )
            longest = next(iter(self._idle_since), None)
            if longest and time.monotonic() - self._idle_since[longest] >= IDLE_S:
                self.is_busy(longest)
                longest.abort()
                await asyncio.sleep(0)
            else:
                await asyncio.sleep(CHECK_S)

    async def _not_accepted(self, error: OSError) -> None:
        if error.errno in NO_FILE_LEFT:
            self._log(f"no connection can be accepted ({error.strerror})")
            await asyncio.sleep(NO_FILE_S)

    def _log(self, problem: str) -> None:
        if self._log_limit.allows():
            logger.warning("%s", problem)
