"""Open connections, and the ways in which a fault breaks one instead of answering."""

import asyncio
import json
import socket
import struct
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from simulator.faults import Fault

_TRANSPORTS: dict[Any, asyncio.Transport] = {}


class TrackedProtocol(H11Protocol):
    """uvicorn's HTTP protocol, with a register of its connections for faults."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Register the connection by the address of its client."""
        super().connection_made(transport)
        _TRANSPORTS[transport.get_extra_info("peername")] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        _TRANSPORTS.pop(self.transport.get_extra_info("peername"), None)
        super().connection_lost(exc)


async def misbehave(request: Request, fault: Fault, regular: Response) -> Response:
    """Do to the connection what the fault says, and return the response of an `answer`.

    `regular` is the response without the fault; `drip` sends its body.
    """
    transport = _TRANSPORTS.get(tuple(request.client or ()))
    match fault.kind:
        case "answer":
            text = fault.body if isinstance(fault.body, str) else json.dumps(fault.body or {})
            return Response(
                text.encode("utf-8", "surrogatepass"),
                fault.status,
                fault.headers,
                media_type="text/html",
            )
        case "hang":
            await request.receive()
        case "raw" if transport:
            transport.write(fault.raw.encode("latin-1"))
            transport.close()
        case "drip" if transport:
            await _drip(transport, bytes(regular.body))
        case "reset" if transport:
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        case _ if transport:
            transport.abort()
    return regular


async def _drip(transport: asyncio.Transport, body: bytes) -> None:
    """Send one byte a second, with a length that is never reached."""
    transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (len(body) + 1000))
    for byte in body + b" " * 1000:
        if transport.is_closing():
            return
        transport.write(bytes([byte]))
        await asyncio.sleep(1)
