"""Requests that show neither a token nor a signature cannot keep out those that do."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.conftest import new_phone
from tests.gateway.conftest import (
    WEBHOOK_SECRETS,
    WEBHOOKS_FILE,
    GatewayProcess,
    gateway_process,
    http_client,
)
from tests.gateway.test_webhooks import shop_body, shop_headers
from tools.dev_server import DevServer

TOKEN = "a-token-of-this-test"
ALLOWED = {"Authorization": f"Bearer {TOKEN}"}
HALF_SENT = {
    path: f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{{".encode()
    for path in ("/v1/webhooks/shop", "/healthz", "/nothing", "/v1/messages")
}


@asynccontextmanager
async def webhook_gateway(
    server: DevServer, folder: Path, prefix: tuple[str, ...] = ()
) -> AsyncIterator[GatewayProcess]:
    variables = WEBHOOK_SECRETS | {
        "TEMPORAL_ADDRESS": server.address,
        "TEMPORAL_TASK_QUEUE": "nobody",
        "GATEWAY_TOKENS": f"crm:{TOKEN}",
        "GATEWAY_WEBHOOKS_FILE": str(WEBHOOKS_FILE),
    }
    async with gateway_process(folder, prefix, **variables) as process:
        yield process


@asynccontextmanager
async def flood(http: httpx.AsyncClient, connections: int, *pieces: bytes) -> AsyncIterator[None]:
    """Hold `connections`, each of which has sent one of the pieces and never sends more.

    A connection that the gateway closes is opened again.
    """

    async def attack(piece: bytes) -> None:
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", http.base_url.port)
                try:
                    writer.write(piece)
                    await reader.read()
                finally:
                    writer.close()
            await asyncio.sleep(0.1)

    attacks = [asyncio.create_task(attack(pieces[n % len(pieces)])) for n in range(connections)]
    await asyncio.sleep(0.5)
    try:
        yield
    finally:
        for task in attacks:
            task.cancel()
        await asyncio.wait(attacks)


async def test_half_sent_bodies_do_not_keep_out_signed_webhooks_and_tokens(
    server: DevServer, tmp_path: Path
) -> None:
    async with webhook_gateway(server, tmp_path) as running:
        http = running.http
        async with flood(http, 300, *HALF_SENT.values()):
            bodies = [shop_body(new_phone()) for _ in range(30)]
            calls = [
                http.post("/v1/webhooks/shop", content=body, headers=shop_headers(body))
                for body in bodies
            ]
            statuses = [answer.status_code for answer in await asyncio.gather(*calls)]
            assert statuses == [202] * 30
            found = await http.get("/v1/messages/none", headers=ALLOWED)
            assert found.status_code == 404
            assert (await http.get("/healthz")).status_code == 200


@pytest.mark.parametrize("path", HALF_SENT)
async def test_a_body_without_proof_must_arrive_soon(
    server: DevServer, tmp_path: Path, path: str
) -> None:
    async with webhook_gateway(server, tmp_path) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.http.base_url.port)
        writer.write(HALF_SENT[path])
        async with asyncio.timeout(10):
            answer = (await reader.read()).lower()
        writer.close()
        assert answer.startswith(b"http/1.1 401" if path == "/v1/messages" else b"http/1.1 408")
        assert b"connection: close" in answer


@pytest.mark.parametrize("piece", [b"", b"GET /healthz HTTP/1.1\r\nHo", *HALF_SENT.values()])
async def test_more_connections_than_open_files_stop_nobody_and_fill_no_log(
    server: DevServer, tmp_path: Path, piece: bytes
) -> None:
    began = time.monotonic()
    few_files = ("sh", "-c", 'ulimit -n 128; exec "$@"', "sh")
    async with webhook_gateway(server, tmp_path, few_files) as running:
        async with flood(running.http, 400, piece):
            for _ in range(3):
                async with http_client(running.http.base_url.netloc.decode()) as http:
                    body = shop_body(new_phone())
                    headers = shop_headers(body)
                    answer = await http.post("/v1/webhooks/shop", content=body, headers=headers)
                    assert answer.status_code == 202
                    found = await http.get("/v1/messages/none", headers=ALLOWED)
                    assert found.status_code == 404
        lines = [line for line in running.log().splitlines() if "connections" in line]
        assert 1 <= len(lines) <= time.monotonic() - began + 1
        assert "out of system resource" not in running.log()
