"""All connections of the gateway together: fewer than the process may have open files."""

import errno
import logging
import resource
import socket
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import Any, Protocol

from send_whatsapp.gateway.log_limit import LogLimit

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 4096
OTHER_FILES = 64
"""Open files that are no connections: the log, the connections to Temporal and to exporters."""

AT_ONCE = 16
"""Connections that are closed, or refused, in one turn of the event loop."""

NO_FILE_LEFT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Connection(Protocol):
    """What `Connections` needs of a connection."""

    def abort(self) -> None:
        """Close the connection at once."""


def max_connections() -> int:
    """Return how many connections this process may have."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(min(files - OTHER_FILES, MAX_CONNECTIONS), 16)


class Connections:
    """Counts the connections and knows which are idle: those without a complete request head."""

    def __init__(self, limit: int) -> None:
        """Allow `limit` connections at once."""
        self._limit = limit
        self._open = 0
        self._idle: dict[Connection, None] = {}
        self._log_limit = LogLimit(1)

    @property
    def full(self) -> bool:
        """Whether there may be no further connection."""
        return self._open >= self._limit

    def opened(self) -> None:
        """Count a new connection."""
        self._open += 1

    def closed(self) -> None:
        """Count a connection that has ended."""
        self._open -= 1

    def is_idle(self, connection: Connection) -> None:
        """Note that this connection works on no request."""
        self._idle[connection] = None

    def is_busy(self, connection: Connection) -> None:
        """Note that this connection works on a request, or has ended."""
        self._idle.pop(connection, None)

    def close_idle(self) -> bool:
        """Close the connections that have been idle for longest; return whether there are any."""
        oldest = list(islice(self._idle, AT_ONCE))
        for connection in oldest:
            self.is_busy(connection)
            connection.abort()
        return bool(oldest)

    def log_full(self) -> None:
        """Log that the limit is reached, at most once a second."""
        if self._log_limit.allows():
            logger.warning(
                "all %d connections are in use: the oldest idle ones are closed, and without idle"
                " ones new connections are refused",
                self._limit,
            )


class Listener(socket.socket):
    """A listening socket that never has more connections than allowed.

    It counts when it accepts, since asyncio accepts many connections before it handles one.
    """

    connections: Connections
    refusal: bytes
    _pause_limit = LogLimit(0.5)

    @classmethod
    def of(cls, listening: socket.socket, connections: Connections, refusal: bytes) -> "Listener":
        """Return `listening` with a limit; `refusal` answers connections that are refused."""
        family, type_, protocol = listening.family, listening.type, listening.proto
        listener = cls(family, type_, protocol, listening.detach())
        listener.connections, listener.refusal = connections, refusal
        return listener

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection. Raises BlockingIOError if there is none, or no room yet."""
        if not self.connections.full:
            accepted, address = self._accept_or_pause()
            return _Counted.of(accepted, self.connections), address
        self.connections.log_full()
        # Idle ones are closed when the event loop comes back to this socket.
        if not self.connections.close_idle():
            for _ in range(AT_ONCE):
                self._refuse()
        raise BlockingIOError

    def _refuse(self) -> None:
        accepted, _ = self._accept_or_pause()
        with accepted, suppress(OSError):
            accepted.setblocking(False)
            accepted.send(self.refusal)
            accepted.shutdown(socket.SHUT_WR)

    def _accept_or_pause(self) -> tuple[socket.socket, Any]:
        try:
            return super().accept()
        except OSError as error:
            # asyncio logs this error and stops accepting for a second, but first it tries as often
            # as the backlog is long, and would log each time.
            if error.errno in NO_FILE_LEFT and not self._pause_limit.allows():
                raise BlockingIOError from None
            raise


class _Counted(socket.socket):
    """A connection that tells `Connections` when it is closed."""

    _closed_by: Callable[[], None] | None = None

    @classmethod
    def of(cls, accepted: socket.socket, connections: Connections) -> "_Counted":
        counted = cls(accepted.family, accepted.type, accepted.proto, accepted.detach())
        connections.opened()
        counted._closed_by = connections.closed
        return counted

    def close(self) -> None:
        super().close()
        if self._closed_by is not None:
            self._closed_by()
            self._closed_by = None
