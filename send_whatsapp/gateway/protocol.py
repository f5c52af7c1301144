"""uvicorn's HTTP/1.1 with problem details for what is no HTTP, and a deadline for headers."""

import asyncio
import json
import sys
from http import HTTPStatus

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from send_whatsapp.gateway import middleware as gateway_http


class ProblemProtocol(H11Protocol):
    """One connection."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; a connection that says nothing is cut off as well."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(gateway_http.ARRIVES_WITHIN_S, self._too_slow)

    def data_received(self, data: bytes) -> None:
        """Take bytes; a request whose headers stay away is cut off."""
        super().data_received(data)
        waiting = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        if waiting and self._deadline is None:
            self._deadline = self.loop.call_later(gateway_http.ARRIVES_WITHIN_S, self._too_slow)
        elif not waiting and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _too_slow(self) -> None:
        self._refuse(408, "The headers did not arrive in time")

    def send_400_response(self, msg: str) -> None:
        """Answer what h11 could not read, with the status that it names (431, 501, mostly 400)."""
        status = getattr(sys.exception(), "error_status_hint", 400)
        self._refuse(status, "This is no HTTP request that the gateway can read")

    def _refuse(self, status: int, title: str) -> None:
        body = json.dumps({"type": "about:blank", "title": title, "status": status}).encode()
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
            "content-type: application/problem+json\r\nconnection: close\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        if not self.transport.is_closing():
            self.transport.write(head.encode() + body)
            self.transport.close()
