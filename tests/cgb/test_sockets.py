"""A faulty provider at the socket: every call ends in time, in a CGBError with a true `unsent`."""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from send_whatsapp.cgb.client import Budget, CGBClient
from send_whatsapp.cgb.errors import CGBError, NotUnderstood, Unavailable
from tools.dev_server import free_port

OK = b'HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n{"success": true}'


class Fake:
    """A server that counts the bytes it receives and sends the response of each test."""

    def __init__(self, response: bytes = b"", cut_after: int | None = None) -> None:
        self.response, self.cut_after = response, cut_after
        self.received = 0
        self.port = 0
        self.stays_open = False

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.cut_after is not None:
                self.received += len(await reader.read(self.cut_after)) if self.cut_after else 0
                writer.transport.abort()
                return
            seen = b""
            while b'"hello"' not in seen and (data := await reader.read(65536)):
                seen += data
            self.received += len(seen)
            for start in range(0, len(self.response), 65536):
                writer.write(self.response[start : start + 65536])
                await writer.drain()
            if self.stays_open:
                await reader.read()
            writer.close()
        except ConnectionError:
            pass


@asynccontextmanager
async def listening(fake: Fake) -> AsyncIterator[CGBClient]:
    server = await asyncio.start_server(fake.talk, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    async with server, CGBClient(f"http://127.0.0.1:{fake.port}/api", "key") as client:
        yield client


async def send(client: CGBClient) -> None:
    await client.send_text("1", "hello", Budget.of(3, "test"))


async def test_a_response_cut_at_any_byte_is_never_an_acceptance() -> None:
    for length in range(len(OK)):
        async with listening(Fake(OK[:length])) as client:
            with pytest.raises(CGBError) as raised:
                await send(client)
        assert raised.value.unsent is False
    async with listening(Fake(OK)) as client:
        await send(client)


async def test_a_request_cut_at_any_byte_is_unsent_only_if_nothing_arrived() -> None:
    for length in range(0, 420, 7):
        fake = Fake(cut_after=length)
        async with listening(fake) as client:
            with pytest.raises(CGBError) as raised:
                await send(client)
        assert not (raised.value.unsent and fake.received)


async def test_a_refused_connection_proves_that_nothing_was_sent() -> None:
    async with CGBClient(f"http://127.0.0.1:{free_port()}/api", "key") as client:
        with pytest.raises(CGBError) as raised:
            await send(client)
    assert raised.value.unsent is True


HEAD = b"HTTP/1.1 200 OK\r\n"
CASES = {
    "HTML": HEAD + b"content-length: 6\r\n\r\n<html>",
    "empty": HEAD + b"content-length: 0\r\n\r\n",
    "null": HEAD + b"content-length: 4\r\n\r\nnull",
    "20 MB": HEAD + b"content-length: 20000000\r\n\r\n" + b" " * 20_000_000,
    "a gzip bomb": HEAD + b"content-encoding: gzip\r\n\r\n" + gzip.compress(b" " * 30_000_000),
    "two lengths": HEAD + b"content-length: 17\r\ncontent-length: 18\r\n\r\n" + OK[-17:],
    "a length too long": HEAD + b"content-length: 99\r\n\r\n" + OK[-17:],
    "a length too short": HEAD + b'content-length: 5\r\n\r\n{"success": true}',
    "bad chunks": HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
    "a flood of headers": HEAD + b"x: y\r\n" * 50_000 + b"\r\n",
    "a flood of 1xx": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20_000,
    "101": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "a status of 999": b"HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n",
    "a status of 000": b"HTTP/1.1 000 Odd\r\ncontent-length: 0\r\n\r\n",
    "not HTTP": b"\x15\x03\x01\x00\x02\x02\x16",
    "nothing": b"",
}


@pytest.mark.parametrize("name", CASES)
async def test_garbage_proves_nothing_and_ends_the_call_in_time(name: str) -> None:
    started = time.monotonic()
    async with listening(Fake(CASES[name])) as client:
        with pytest.raises(CGBError, match="send the text") as raised:
            await send(client)
    assert raised.value.unsent is False
    assert time.monotonic() - started < 10


async def test_a_body_without_a_length_ends_with_the_connection() -> None:
    async with listening(Fake(HEAD + b"\r\n" + OK[-17:])) as client:
        await send(client)


async def test_a_redirect_is_not_followed_with_the_key() -> None:
    other = Fake(OK)
    async with listening(other):
        location = f"location: http://127.0.0.1:{other.port}/api\r\n".encode()
        response = b"HTTP/1.1 307 Temporary Redirect\r\n" + location + b"content-length: 0\r\n\r\n"
        async with listening(Fake(response)) as client:
            with pytest.raises(CGBError):
                await send(client)
    assert other.received == 0


@pytest.mark.parametrize("head", [b"101 Switching Protocols\r\nupgrade: x", b"101 X"])
@pytest.mark.parametrize("open_", [True, False])
async def test_a_101_is_not_understood(head: bytes, open_: bool) -> None:
    fake = Fake(b"HTTP/1.1 " + head + b"\r\nconnection: upgrade\r\n\r\n")
    fake.stays_open = open_
    async with listening(fake) as client:
        with pytest.raises(NotUnderstood) as raised:
            await send(client)
    assert raised.value.unsent is False


async def test_a_lookup_is_not_repeated_if_a_kept_connection_is_lost() -> None:
    calls = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        while await reader.readuntil(b"\r\n\r\n"):
            calls += 1
            if calls == 2:
                writer.transport.abort()
                break
            writer.write(HEAD + b"content-length: 2\r\n\r\n{}")

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api"
    async with server, CGBClient(url, "key") as client:
        assert await client.find_contact("+1234567890", Budget.of(5, "test")) is None
        with pytest.raises(Unavailable):
            await client.find_contact("+1234567890", Budget.of(5, "test"))
    assert calls == 2
