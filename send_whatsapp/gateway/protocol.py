"""uvicorn's HTTP/1.1 connection, with a time limit for headers and with problem details.

The middleware sees only requests that h11 could read; everything before that is answered here.
"""

import asyncio
import json
import sys
from http import HTTPStatus

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from send_whatsapp.gateway import time_limits
from send_whatsapp.gateway.problems import MEDIA_TYPE, Problem

_TOO_SLOW = Problem(408, "The headers did not arrive in time")


class GatewayProtocol(H11Protocol):
    """One connection."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time limit, which also ends a connection that never sends anything."""
        super().connection_made(transport)
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        """Start the time limit with the first byte of a request; stop it after its headers."""
        super().data_received(data)
        headers_incomplete = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        if headers_incomplete and self._timer is None:
            self._start_timer()
        elif not headers_incomplete:
            self._stop_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time limit."""
        self._stop_timer()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer a request that h11 cannot read, with the status that h11 gives (often 400)."""
        status = getattr(sys.exception(), "error_status_hint", 400)
        self._refuse(Problem(status, "The gateway cannot read this as an HTTP request"))

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(time_limits.ARRIVAL_S, self._refuse, _TOO_SLOW)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, problem: Problem) -> None:
        body = json.dumps(problem.body).encode()
        head = (
            f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\n"
            f"content-type: {MEDIA_TYPE}\r\nconnection: close\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        if not self.transport.is_closing():
            self.transport.write(head.encode() + body)
            self.transport.close()
