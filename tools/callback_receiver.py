"""A receiver of callbacks on 127.0.0.1 that keeps its calls."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks import Webhook

from tools.dev_server import free_port

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


@dataclass
class Call:
    """One call of a receiver, and the time of the event loop at which it arrived."""

    headers: dict[str, str]
    body: str
    at: float

    @property
    def id(self) -> str:
        """The id of the event."""
        return self.headers["webhook-id"]

    @property
    def event(self) -> Any:
        """The body. Raises WebhookVerificationError if its signature is not valid."""
        return Webhook(SECRET).verify(self.body, self.headers)


@dataclass
class Receiver:
    """An HTTP server that gives the `answers` one by one and then 200s, each after `delay_s`.

    With `fails_first`, every fifth event gets a 503 at its first attempt.
    """

    port: int = field(default_factory=free_port)
    answers: list[bytes] = field(default_factory=list)
    delay_s: float = 0
    fails_first: bool = False
    calls: list[Call] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The URL that workers call."""
        return f"http://127.0.0.1:{self.port}/events?from=whatsapp"

    @property
    def by_id(self) -> dict[str, list[Call]]:
        """The calls of each event."""
        found: dict[str, list[Call]] = {}
        for call in self.calls:
            found.setdefault(call.id, []).append(call)
        return found

    def answer(self, *statuses: int, headers: str = "") -> None:
        """Give the next calls these statuses; `headers` are whole lines."""
        self.answers += [_answer(status, headers) for status in statuses]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")[1:-2]
                headers = {n.lower(): v.strip() for n, v in (line.split(":", 1) for line in lines)}
                body = (await reader.readexactly(int(headers["content-length"]))).decode()
                call = Call(headers, body, asyncio.get_running_loop().time())
                is_first = call.id not in self.by_id if self.fails_first else False
                self.calls.append(call)
                await asyncio.sleep(self.delay_s)
                if is_first and len(self.calls) % 5 == 0:
                    writer.write(_answer(503))
                else:
                    writer.write(self.answers.pop(0) if self.answers else _answer(200))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def running(receiver: Receiver) -> AsyncIterator[Receiver]:
    """Serve until the block ends."""
    async with await asyncio.start_server(receiver.serve, "127.0.0.1", receiver.port):
        yield receiver


def _answer(status: int, headers: str = "") -> bytes:
    body = "" if status == 204 else "ok"
    head = f"HTTP/1.1 {status} x\r\n{headers}content-length: {len(body)}\r\n\r\n"
    return (head + body).encode()
