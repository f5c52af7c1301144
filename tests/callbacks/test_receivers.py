"""One call of a receiver: what is sent, what counts as an answer, and what is never called."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from standardwebhooks import Webhook, WebhookVerificationError

from send_whatsapp.callbacks.file import ALL_EVENTS, Callback
from send_whatsapp.callbacks.receivers import NoAnswer, Receivers
from tools.callback_receiver import SECRET, Receiver
from tools.dev_server import free_port

OTHER_SECRET = Webhook(b"another secret of enough bytes")


def callback(url: str, *more: Webhook) -> Callback:
    return Callback(url, (Webhook(SECRET), *more), ALL_EVENTS)


@asynccontextmanager
async def receivers(
    *,
    allow_private: bool = True,
    timeout_s: float = 10,
    resolver: AbstractResolver | None = None,
) -> AsyncIterator[Receivers]:
    async with Receivers(
        allow_private=allow_private, timeout_s=timeout_s, resolver=resolver
    ) as opened:
        yield opened


async def test_a_call_is_signed_as_standard_webhooks_says(receiver: Receiver) -> None:
    body = '{"type": "message.accepted", "data": {"text": "Gr\u00fc\u00dfe"}}'
    async with receivers() as calling:
        assert await calling.post(callback(receiver.url), "run-accepted", body) == 200
    [call] = receiver.calls
    assert call.id == "run-accepted"
    assert call.body == body
    assert call.event["data"] == {"text": "Grüße"}
    with pytest.raises(WebhookVerificationError):
        OTHER_SECRET.verify(call.body, call.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(call.body + " ", call.headers)


async def test_each_secret_signs_so_that_a_receiver_can_change_it(receiver: Receiver) -> None:
    async with receivers() as calling:
        await calling.post(callback(receiver.url, OTHER_SECRET), "run-accepted", "{}")
    [call] = receiver.calls
    assert call.event == OTHER_SECRET.verify(call.body, call.headers) == {}


@pytest.mark.parametrize("status", [200, 204, 299, 301, 307, 400, 404, 410, 500, 503])
async def test_the_status_is_the_answer_and_a_redirect_is_not_followed(
    receiver: Receiver, status: int
) -> None:
    receiver.answer(status, headers=f"location: http://127.0.0.1:{receiver.port}/other\r\n")
    async with receivers() as calling:
        assert await calling.post(callback(receiver.url), "e", "{}") == status
    assert len(receiver.calls) == 1


ANSWERS = {
    "endless body": b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 3_000_000,
    "body that never comes": b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n",
    "compressed body": b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nxx",
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_only_the_status_counts_whatever_the_body_is(receiver: Receiver, name: str) -> None:
    receiver.answers = [ANSWERS[name]]
    async with receivers(timeout_s=5) as calling:
        assert await calling.post(callback(receiver.url), "e", "{}") == 200
        assert await calling.post(callback(receiver.url), "e", "{}") == 200


WRONG_ANSWERS = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "nothing": b"",
    "endless headers": b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 500_000,
    "a long header": b"HTTP/1.1 200 OK\r\na: " + b"b" * 200_000 + b"\r\n\r\n",
    "no number": b"HTTP/1.1 abc OK\r\n\r\n",
}


@pytest.mark.parametrize("name", WRONG_ANSWERS)
async def test_an_answer_that_is_none_fails_without_quoting_it(
    receiver: Receiver, name: str
) -> None:
    receiver.answers = [WRONG_ANSWERS[name]]
    async with receivers(timeout_s=1) as calling:
        with pytest.raises(NoAnswer) as failed:
            await calling.post(callback(receiver.url), "e", "{}")
    assert "127.0.0.1" not in str(failed.value)
    assert "from=whatsapp" not in str(failed.value)


async def test_a_slow_receiver_has_ten_seconds_in_all(receiver: Receiver) -> None:
    receiver.delay_s = 60
    async with receivers(timeout_s=0.3) as calling:
        with pytest.raises(NoAnswer, match=r"did not answer within 0\.3 s"):
            await calling.post(callback(receiver.url), "e", "{}")


async def test_a_receiver_that_never_reads_is_left_in_time() -> None:
    async def never_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(5)
        writer.close()

    port = free_port()
    async with (
        await asyncio.start_server(never_read, "127.0.0.1", port),
        receivers(timeout_s=0.5) as calling,
    ):
        with pytest.raises(NoAnswer, match="did not answer within"):
            await calling.post(callback(f"http://127.0.0.1:{port}/"), "e", "x" * 1_000_000)


async def test_a_receiver_that_refuses_cannot_be_reached() -> None:
    async with receivers() as calling:
        with pytest.raises(NoAnswer, match="cannot be reached"):
            await calling.post(callback(f"http://127.0.0.1:{free_port()}/"), "e", "{}")


async def test_a_receiver_that_speaks_no_tls_cannot_be_reached(receiver: Receiver) -> None:
    async with receivers(timeout_s=2) as calling:
        with pytest.raises(NoAnswer):
            await calling.post(callback(receiver.url.replace("http:", "https:")), "e", "{}")
    assert receiver.calls == []


class Resolver(AbstractResolver):
    """Gives these addresses one by one, the last one again and again."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.lookups = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.lookups += 1
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None: ...


PUBLIC = "93.184.216.34"


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["fe80::1"],
        ["fd00::1"],
        ["0.0.0.0"],
        ["127.0.0.1", "127.0.0.1", "10.0.0.1"],
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_name_with_a_private_address_is_not_called(
    receiver: Receiver, scheme: str, addresses: list[str]
) -> None:
    url = f"{scheme}://hooks.example.com:{receiver.port}/"
    async with receivers(allow_private=False, resolver=Resolver(addresses)) as calling:
        with pytest.raises(NoAnswer, match="has an address that is not public") as failed:
            await calling.post(callback(url), "e", "{}")
    assert receiver.calls == []
    assert "hooks" not in str(failed.value)


async def test_the_address_is_checked_for_each_connection(receiver: Receiver) -> None:
    """A name that is public at the first look-up and private at the second one."""
    url = f"http://hooks.example.com:{receiver.port}/"
    resolver = Resolver([PUBLIC], ["127.0.0.1"])
    async with receivers(allow_private=False, timeout_s=0.5, resolver=resolver) as calling:
        with pytest.raises(NoAnswer, match=r"did not answer|cannot be reached"):
            await calling.post(callback(url), "e", "{}")
        for _ in range(2):
            with pytest.raises(NoAnswer, match="not public"):
                await calling.post(callback(url), "e", "{}")
    assert resolver.lookups == 3
    assert receiver.calls == []


async def test_private_addresses_among_public_ones_are_passed_over(receiver: Receiver) -> None:
    url = f"http://hooks.example.com:{receiver.port}/"
    resolver = Resolver(["127.0.0.1", PUBLIC, "127.0.0.1"])
    async with receivers(allow_private=False, timeout_s=0.5, resolver=resolver) as calling:
        with pytest.raises(NoAnswer):
            await calling.post(callback(url), "e", "{}")
    assert receiver.calls == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"])
async def test_an_address_in_the_url_is_checked_too(receiver: Receiver, host: str) -> None:
    async with receivers(allow_private=False) as calling:
        with pytest.raises(NoAnswer, match="not public"):
            await calling.post(callback(f"http://{host}:{receiver.port}/"), "e", "{}")
    assert receiver.calls == []


async def test_a_name_is_looked_up_by_the_system(receiver: Receiver) -> None:
    async with receivers() as calling:
        url = receiver.url.replace("127.0.0.1", "localhost")
        assert await calling.post(callback(url), "e", "{}") == 200
        with pytest.raises(NoAnswer, match="cannot be reached"):
            await calling.post(callback("http://none.invalid/"), "e", "{}")
