"""Hostile HTTP against the real command: refused with a problem, the connection closed."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from send_whatsapp.gateway import time_limits
from tests.conftest import until
from tests.gateway.conftest import COMMAND, PROBLEM, GatewayProcess, gateway_process
from tools.dev_server import DevServer

TOKEN = "a-token-of-this-test"
HEAD = b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
ALLOWED = f"Authorization: Bearer {TOKEN}\r\n".encode()
MESSAGE = b'{"to": "+1234567890", "message": "x"}'
SMUGGLED = b"POST /v1/messages HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
async def running(
    server: DevServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("gateway")
    async with gateway_process(
        folder,
        TEMPORAL_ADDRESS=server.address,
        TEMPORAL_TASK_QUEUE=f"nobody-{uuid.uuid4()}",
        GATEWAY_TOKENS=f"test:{TOKEN}",
    ) as process:
        yield process


async def exchange(http: httpx.AsyncClient, *pieces: bytes) -> bytes:
    """Send the pieces and return everything until the gateway closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", http.base_url.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\0\r\n\r\n", 400),
        (HEAD + ALLOWED + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (
            HEAD
            + ALLOWED
            + b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"
            + chunk(MESSAGE)
            + b"0\r\n\r\n"
            + SMUGGLED,
            400,
        ),
        (HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        (HEAD + b"Content-Length: -1\r\n\r\n", 400),
        (HEAD + b"Content-Length: +1\r\n\r\n1", 400),
        (HEAD + b"Content-Length: 0x5\r\n\r\n", 400),
        (HEAD + ALLOWED + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (HEAD + b"Transfer-Encoding: xchunked\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 50_000, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 50_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 33_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 100 + b"\r\n", 431),
        (b"GET /" + b"y" * 33_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (HEAD + ALLOWED + b"Content-Length: 99999999999\r\n\r\n{", 413),
        (HEAD + ALLOWED + b"Content-Length: 65537\r\n\r\n{", 413),
        (HEAD + ALLOWED + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b" " * 70_000), 413),
        (HEAD + ALLOWED + b"Content-Length: 9000000\r\n\r\n" + b" " * 9_000_000, 413),
        (HEAD + b"Content-Length: 37\r\n\r\n" + MESSAGE, 401),
        (HEAD + b"Authorization: Bearer\r\nContent-Length: 0\r\n\r\n", 401),
        (HEAD + b"Authorization: Bearer " + b"\xff" * 20 + b"\r\nContent-Length: 0\r\n\r\n", 401),
        (HEAD + ALLOWED + ALLOWED + b"Content-Length: 0\r\n\r\n", 401),
        (HEAD + b"Content-Length: 9000000\r\n\r\n" + b" " * 9_000_000, 401),
    ],
    ids=range(29),
)
async def test_a_hostile_request_is_refused_and_the_connection_closed(
    running: GatewayProcess, raw: bytes, status: int
) -> None:
    answer = await exchange(running.http, raw)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == str(status).encode()
    headers = head.lower().split(b"\r\n")
    for header in (
        f"content-type: {PROBLEM}",
        "connection: close",
        "cache-control: no-store",
        "x-content-type-options: nosniff",
    ):
        assert headers.count(header.encode()) == 1
    # One object and nothing after it: what followed the request was not answered.
    problem = json.loads(body)
    assert (problem["status"], bool(problem["title"])) == (status, True)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHo",
        HEAD + b"Content-Length: 99\r\n\r\n{",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
async def test_a_request_that_does_not_arrive_in_time_is_answered_408(
    http: httpx.AsyncClient, raw: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_limits, "ARRIVAL_S", 0.5)
    answer = await exchange(http, raw)
    assert answer.startswith(b"HTTP/1.1 408")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == 408


async def test_a_slow_body_is_limited_by_its_total_time(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_limits, "ARRIVAL_S", 0.5)
    reader, writer = await asyncio.open_connection("127.0.0.1", http.base_url.port)
    writer.write(HEAD + b"Content-Length: 1000\r\n\r\n")

    async def send_slowly() -> None:
        while True:
            writer.write(b" ")
            await asyncio.sleep(0.1)

    sending = asyncio.create_task(send_slowly())
    async with asyncio.timeout(10):
        answer = await reader.read(12)
    sending.cancel()
    writer.close()
    assert answer == b"HTTP/1.1 408"


async def test_two_requests_in_one_packet_get_two_answers(running: GatewayProcess) -> None:
    one = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert (await exchange(running.http, one + last)).count(b"HTTP/1.1 200") == 2


async def test_the_gateway_still_serves_afterwards_and_has_logged_no_data(
    running: GatewayProcess,
) -> None:
    allowed = {"Authorization": f"Bearer {TOKEN}"}
    body = {"to": "+4915112345678", "message": "canary"}
    answer = await running.http.post("/v1/messages?canary=1", json=body, headers=allowed)
    assert answer.status_code == 202

    def is_logged() -> bool:
        lines = [json.loads(line) for line in running.log().splitlines()]
        last = [line for line in lines if "route" in line][-1]
        return (last["route"], last["status"], last["caller"]) == ("/v1/messages", 202, "test")

    # The line is written after the answer.
    await until(is_logged)
    lines = [json.loads(line) for line in running.log().splitlines()]
    for secret in (TOKEN, "canary", "15112345678", answer.json()["id"]):
        assert secret not in running.log()
    assert not [line for line in lines if line["level"] == "ERROR"]


async def test_sigterm_answers_waiting_callers_and_exits_with_0(
    server: DevServer, tmp_path: Path
) -> None:
    queue = f"nobody-{uuid.uuid4()}"
    async with gateway_process(
        tmp_path, TEMPORAL_ADDRESS=server.address, TEMPORAL_TASK_QUEUE=queue
    ) as process:
        body = {"to": "+1234567890", "message": "x"}
        wait = {"Prefer": "wait=60"}
        waiting = asyncio.create_task(process.http.post("/v1/messages", json=body, headers=wait))
        other = (await process.http.post("/v1/messages", json=body)).json()["statusUrl"]
        assert (await process.http.get(other)).status_code == 200
        process.process.terminate()
        answer = await asyncio.wait_for(waiting, 10)
        assert (answer.status_code, answer.json()["status"]) == (202, "running")
        assert await asyncio.to_thread(process.process.wait, 10) == 0


@pytest.mark.parametrize("bind", ["taken", "192.0.2.1:80"])
async def test_an_address_it_cannot_listen_on_is_reported_in_one_line(
    running: GatewayProcess, tmp_path: Path, bind: str
) -> None:
    port = running.http.base_url.port
    address = f"127.0.0.1:{port}" if bind == "taken" else bind
    environment = {"GATEWAY_BIND": address, "GATEWAY_TOKENS": f"a:{TOKEN}", "PATH": "/usr/bin"}
    ended = await asyncio.create_subprocess_exec(
        *COMMAND, env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, output = await asyncio.wait_for(ended.communicate(), 30)
    assert ended.returncode == 1
    assert b"Traceback" not in output
    assert output.decode().splitlines()[-1].startswith("GATEWAY_BIND is an address that")
