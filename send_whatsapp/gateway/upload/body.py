"""The body of an upload as a file: a thread reads it while the event loop receives it."""

import asyncio
import io

from starlette.types import Receive

from send_whatsapp.gateway import time_limits
from send_whatsapp.gateway.problems import CLIENT_GONE, Problem

MAX_UPLOAD_BYTES = 32 * 1024 * 1024
TOO_LARGE = Problem(
    413, f"The rows have more than {MAX_UPLOAD_BYTES // 1024 // 1024} MB: send several batches"
)


class UploadBody(io.RawIOBase):
    """The bytes of a request's body. Reading raises Problem if they do not arrive, or too many do.

    Only another thread than that of the event loop may read: it waits for the loop. The loop
    receives no more than is read.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + time_limits.UPLOAD_S
        self._left = b""
        self._received = 0
        self._complete = False

    def readable(self) -> bool:
        """Return that this can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read some bytes; return their number, 0 at the end."""
        while not self._left and not self._complete:
            self._left = asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    async def _next(self) -> bytes:
        by = min(self._loop.time() + time_limits.ARRIVAL_S, self._deadline)
        try:
            async with asyncio.timeout_at(by):
                message = await self._receive()
        except TimeoutError:
            raise Problem(408, "The rows did not arrive in time") from None
        if message["type"] == "http.disconnect":
            raise Problem(CLIENT_GONE, "The connection was closed")
        body: bytes = message.get("body", b"")
        self._received += len(body)
        if self._received > MAX_UPLOAD_BYTES:
            raise TOO_LARGE
        self._complete = not message.get("more_body")
        return body
