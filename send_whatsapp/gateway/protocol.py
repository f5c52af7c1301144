"""uvicorn's HTTP/1.1 connection, with time limits and with problem details.

The middleware sees only requests that h11 could read; everything before that is answered here.
"""

import asyncio
import sys
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from send_whatsapp.gateway import time_limits
from send_whatsapp.gateway.connections import Connections
from send_whatsapp.gateway.problems import Problem

MAX_BYTES_AHEAD = 64 * 1024
"""Bytes that a client may send ahead of the request that is being answered."""

_TOO_SLOW = Problem(408, "The headers did not arrive in time")


class GatewayProtocol(H11Protocol):
    """One connection."""

    _arrival: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None

    def __init__(self, connections: Connections, *arguments: Any, **keywords: Any) -> None:
        """Serve as one of these connections; the other arguments are uvicorn's."""
        super().__init__(*arguments, **keywords)
        self._connections = connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time limit, which also ends a connection that never sends anything."""
        super().connection_made(transport)
        self._connections.is_idle(self)
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        """Start the time limit with the first byte of a request; stop it after its headers."""
        super().data_received(data)
        headers_incomplete = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        if headers_incomplete and self._arrival is None:
            self._start_timer()
        elif not headers_incomplete:
            self._stop_timer()
        if self.cycle is not None and not self.cycle.response_complete:
            self._connections.is_busy(self)
            self._read_ahead()

    def _read_ahead(self) -> None:
        """Keep reading while a request is answered: only who reads notices that the client goes."""
        ahead = self.conn.trailing_data[0]
        if self.conn.their_state is h11.DONE and 0 < len(ahead) <= MAX_BYTES_AHEAD:
            self.flow.resume_reading()

    def on_response_complete(self) -> None:
        """Note that the connection is idle, unless the next request has arrived already.

        A closing connection is idle too: it stays open while its client does not read the answer.
        """
        super().on_response_complete()
        if self.cycle.response_complete:
            self._connections.is_idle(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time limits."""
        self._connections.ended(self)
        self._stop_timer()
        self._stop_reading_timer()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Start the time limit of a client that does not read its answer."""
        super().pause_writing()
        self._reading = self.loop.call_later(time_limits.READ_ANSWER_S, self.abort)

    def resume_writing(self) -> None:
        """Stop this time limit, since the client has read most of what was sent."""
        self._stop_reading_timer()
        super().resume_writing()

    def abort(self) -> None:
        """Close the connection at once, with what was not sent yet."""
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answer a request that h11 cannot read, with the status that h11 gives (often 400)."""
        status = getattr(sys.exception(), "error_status_hint", 400)
        self._refuse(Problem(status, "The gateway cannot read this as an HTTP request"))

    def _start_timer(self) -> None:
        self._arrival = self.loop.call_later(time_limits.ARRIVAL_S, self._refuse, _TOO_SLOW)

    def _stop_timer(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def _stop_reading_timer(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _refuse(self, problem: Problem) -> None:
        if not self.transport.is_closing():
            self.transport.write(problem.as_bytes())
            self.transport.close()
