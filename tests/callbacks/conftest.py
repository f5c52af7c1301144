"""Receivers on 127.0.0.1, and files that declare them."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from standardwebhooks import Webhook

from tools.dev_server import free_port

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()

FileOf = Callable[..., dict[str, str]]


@dataclass
class Call:
    """One call of a receiver."""

    headers: dict[str, str]
    body: str
    at: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> Any:
        """The body of a call whose signature is valid."""
        return Webhook(SECRET).verify(self.body, self.headers)


@dataclass
class Receiver:
    """An HTTP server that keeps its calls. It gives the `answers` one by one, then 200s."""

    port: int = field(default_factory=free_port)
    answers: list[bytes] = field(default_factory=list)
    delay_s: float = 0
    calls: list[Call] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/events?from=whatsapp"

    def answer(self, *statuses: int, headers: str = "") -> None:
        """Answer the next calls with these statuses."""
        for status in statuses:
            body = "" if status == 204 else "ok"
            head = f"HTTP/1.1 {status} x\r\n{headers}content-length: {len(body)}\r\n\r\n"
            self.answers.append((head + body).encode())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")[1:-2]
                headers = {n.lower(): v.strip() for n, v in (line.split(":", 1) for line in lines)}
                body = (await reader.readexactly(int(headers["content-length"]))).decode()
                at = asyncio.get_running_loop().time()
                self.calls.append(Call(headers, body, at))
                await asyncio.sleep(self.delay_s)
                ok = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
                writer.write(self.answers.pop(0) if self.answers else ok)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    @property
    def by_id(self) -> dict[str, list[Call]]:
        found: dict[str, list[Call]] = {}
        for call in self.calls:
            found.setdefault(call.id, []).append(call)
        return found


@asynccontextmanager
async def running(receiver: Receiver) -> AsyncIterator[Receiver]:
    async with await asyncio.start_server(receiver.serve, "127.0.0.1", receiver.port):
        yield receiver


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with running(Receiver()) as opened:
        yield opened


@pytest.fixture
def file_of(tmp_path: Path) -> FileOf:
    """Return a function that declares URLs by name and returns the settings of a worker."""

    def declare(events: Sequence[str] | None = None, **urls: str) -> dict[str, str]:
        (tmp_path / "secret").write_text(SECRET + "\n")
        file = tmp_path / "callbacks.yaml"
        entries: dict[str, Any] = {
            name: {"url": url, "secret_file": "secret"} for name, url in urls.items()
        }
        if events is not None:
            entries = {name: entry | {"events": list(events)} for name, entry in entries.items()}
        file.write_text(yaml.safe_dump({"callbacks": entries}))
        return {"CALLBACKS_FILE": str(file), "CALLBACKS_ALLOW_PRIVATE": "true"}

    return declare
