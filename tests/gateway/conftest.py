"""A gateway on a real socket, in this process or as the command that people run."""

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from temporalio.client import Client

from send_whatsapp.gateway.app import create_app, in_background
from send_whatsapp.gateway.server import serving
from send_whatsapp.gateway.tokens import Tokens
from send_whatsapp.settings import GatewaySettings
from send_whatsapp.temporal.clock import TemporalClock
from tests.conftest import ROOT, SendHarness, new_phone, until
from tests.gateway.documented import is_as_documented
from tools.dev_server import free_port

PROBLEM = "application/problem+json"
WEBHOOK_EXAMPLES = ROOT / "examples" / "webhooks"
WEBHOOKS_FILE = WEBHOOK_EXAMPLES / "webhooks.yaml"
WEBHOOK_SECRETS = {"SHOP_WEBHOOK_SECRET": "shop secret", "VISA_WEBHOOK_SECRET": "visa secret"}
COMMAND = [str(Path(sys.executable).with_name("send-whatsapp")), "gateway"]


@asynccontextmanager
async def gateway(
    client: Client, task_queue: str, tokens: Tokens | None = None, **variables: str
) -> AsyncIterator[httpx.AsyncClient]:
    settings = GatewaySettings.load(
        {"TEMPORAL_TASK_QUEUE": task_queue, "TEMPORAL_UI_URL": "http://ui"} | variables
    )
    clock = TemporalClock(client)
    app = create_app(client, settings, tokens or Tokens({}, None), {}, clock, asyncio.Event())
    bind = f"127.0.0.1:{free_port()}"
    async with serving(app, bind), in_background(clock.follow(60)), http_client(bind) as http:
        yield http


def http_client(bind: str) -> httpx.AsyncClient:
    """Return a client that checks the headers of every answer, and the body against the schema."""
    return httpx.AsyncClient(
        base_url=f"http://{bind}",
        trust_env=False,
        timeout=30,
        event_hooks={"response": [has_the_headers_of_every_answer, is_as_documented]},
    )


async def has_the_headers_of_every_answer(answer: httpx.Response) -> None:
    assert answer.headers.get_list("cache-control") == ["no-store"]
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]


@pytest.fixture
async def http(client: Client, harness: SendHarness) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway(client, harness.task_queue) as opened:
        yield opened


class GatewayProcess:
    """`send-whatsapp gateway` as a process, an HTTP client of it, and its log."""

    def __init__(self, process: "subprocess.Popen[bytes]", http: httpx.AsyncClient, log: Path):
        self.process, self.http, self._log = process, http, log

    def log(self) -> str:
        return self._log.read_text()


@asynccontextmanager
async def gateway_process(
    folder: Path, prefix: Sequence[str] = (), **variables: str
) -> AsyncIterator[GatewayProcess]:
    """Run the command, behind `prefix`, with these variables until the block ends."""
    bind = f"127.0.0.1:{free_port()}"
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("GATEWAY_", "TEMPORAL_"))}
    environment = kept | {"GATEWAY_BIND": bind, "LOG_FORMAT": "json"} | variables
    log = folder / f"gateway-{uuid.uuid4()}.log"
    with log.open("wb") as sink:
        process = subprocess.Popen([*prefix, *COMMAND], env=environment, stdout=sink, stderr=sink)
    async with http_client(bind) as http:
        try:
            await until(lambda: _is_healthy(http))
            yield GatewayProcess(process, http, log)
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, 30)


async def _is_healthy(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/healthz")).status_code == 200
    except httpx.ConnectError:
        return False


def key() -> str:
    return f"order/{uuid.uuid4()}?#%"


async def post(http: httpx.AsyncClient, *, headers: Any = None, **fields: Any) -> httpx.Response:
    body = {"to": new_phone(), "message": "x"} | fields
    return await http.post("/v1/messages", json=body, headers=headers)


async def has_status(http: httpx.AsyncClient, url: str, status: str) -> bool:
    found = (await http.get(url)).json()
    return bool(found["status"] == status)


class Proxy:
    """A proxy to Temporal that can hold back answers and cut connections.

    `passed` counts the bytes of the answers.
    """

    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.answers.set()
        self.writers: set[asyncio.StreamWriter] = set()
        self.passed = 0
        self.is_down = False

    def go_down(self) -> None:
        """Cut all connections and refuse new ones."""
        self.is_down = True
        self.cut()

    def cut(self) -> None:
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()

    async def pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, held: bool
    ) -> None:
        self.writers.add(writer)
        try:
            while data := await reader.read(65536):
                if held:
                    await self.answers.wait()
                    self.passed += len(data)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def proxy_to(port: int) -> AsyncIterator[tuple[Proxy, str]]:
    proxy = Proxy()
    pumps: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if proxy.is_down:
            writer.close()
            return
        there = await asyncio.open_connection("127.0.0.1", port)
        pumps.add(asyncio.create_task(proxy.pump(reader, there[1], held=False)))
        pumps.add(asyncio.create_task(proxy.pump(there[0], writer, held=True)))

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield proxy, f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
