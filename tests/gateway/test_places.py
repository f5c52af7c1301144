"""Places, slots and waits: no caller takes what others need, and nobody holds it after leaving."""

import asyncio
import json
import time
from contextlib import AsyncExitStack

import httpx
import pytest
from temporalio.client import Client

from send_whatsapp.gateway import places
from send_whatsapp.gateway.places import Places, Slots, UnprovenPlaces
from send_whatsapp.gateway.tokens import Tokens
from tests.conftest import new_phone, until
from tests.gateway.conftest import PROBLEM, gateway, key, post

TOKENS = {"crm": "the-token-of-crm", "shop": "the-token-of-shop"}
CRM, SHOP = ({"Authorization": f"Bearer {token}"} for token in TOKENS.values())


@pytest.fixture(autouse=True)
def few_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MAX_REQUESTS_PER_CALLER", 2)
    monkeypatch.setattr(places, "MAX_WAITS_PER_CALLER", 1)


class Wait:
    """A message that no worker sends, and requests of a caller that wait for it."""

    def __init__(self, http: httpx.AsyncClient, caller: dict[str, str]) -> None:
        self.http, self.caller = http, caller
        self.key, self.phone = key(), new_phone()

    async def seconds(self, wait_s: int) -> float:
        """Return after how many seconds `Prefer: wait` is answered."""
        began = time.monotonic()
        headers = self.caller | {"Idempotency-Key": self.key, "Prefer": f"wait={wait_s}"}
        answer = await post(self.http, to=self.phone, headers=headers)
        assert (answer.status_code, answer.json()["status"]) == (202, "running")
        return time.monotonic() - began

    async def abandon(self, ahead: bytes) -> None:
        """Send a request that waits for 300 s, then `ahead`, then close the connection."""
        body = json.dumps({"to": self.phone, "message": "x"}).encode()
        headers = self.caller | {
            "Host": "localhost",
            "Content-Type": "application/json",
            "Prefer": "wait=300",
            "Idempotency-Key": self.key,
            "Content-Length": str(len(body)),
        }
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        _, writer = await asyncio.open_connection("127.0.0.1", self.http.base_url.port)
        for piece in (f"POST /v1/messages HTTP/1.1\r\n{''.join(lines)}\r\n".encode() + body, ahead):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.1)
        writer.close()


@pytest.mark.parametrize("ahead", [b"", b"GET /healthz HTTP/1.1\r\n"])
async def test_clients_that_have_gone_keep_no_place(client: Client, ahead: bytes) -> None:
    async with gateway(client, "nobody", Tokens(TOKENS, None)) as http:
        wait = Wait(http, CRM)
        for _ in range(6):
            await wait.abandon(ahead)

        async def has_place() -> bool:
            return await wait.seconds(1) >= 1

        await until(has_place, within_s=10)
        assert (await http.get("/v1/messages/none", headers=CRM)).status_code == 404


async def test_waits_take_no_place_of_other_requests_and_of_other_callers(client: Client) -> None:
    async with gateway(client, "nobody", Tokens(TOKENS, None)) as http:
        wait = Wait(http, CRM)
        waiting = asyncio.create_task(wait.seconds(60))

        async def is_alone() -> bool:
            nonlocal waiting
            if waiting.done():
                waiting = asyncio.create_task(wait.seconds(60))
            return await wait.seconds(1) < 1

        await until(is_alone)
        found = [http.get("/v1/messages/none", headers=CRM) for _ in range(2)]
        assert [answer.status_code for answer in await asyncio.gather(*found)] == [404, 404]
        assert await Wait(http, SHOP).seconds(1) >= 1
        assert not waiting.done()
        waiting.cancel()


async def test_a_caller_with_too_many_requests_locks_out_nobody_else(client: Client) -> None:
    async with gateway(client, "nobody", Tokens(TOKENS, None)) as http, AsyncExitStack() as stack:
        head = b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
        for _ in range(2):
            _, writer = await asyncio.open_connection("127.0.0.1", http.base_url.port)
            stack.callback(writer.close)
            writer.write(head + f"Authorization: {CRM['Authorization']}\r\n\r\n".encode())

        async def is_full() -> bool:
            return (await http.get("/v1/messages/none", headers=CRM)).status_code == 503

        await until(is_full)
        refused = await http.get("/v1/messages/none", headers=CRM)
        assert refused.headers["content-type"] == PROBLEM
        assert refused.headers["retry-after"] == "1"
        assert "connection" not in refused.headers
        reader, writer = await asyncio.open_connection("127.0.0.1", http.base_url.port)
        stack.callback(writer.close)
        writer.write(head + f"Authorization: {CRM['Authorization']}\r\n\r\n".encode())
        early = (await reader.read()).lower()
        assert early.startswith(b"http/1.1 503")
        assert b"\r\nconnection: close\r\n" in early
        assert (await http.get("/v1/messages/none", headers=SHOP)).status_code == 404


def test_places_are_counted_per_caller_and_together() -> None:
    some = Places(per_caller=2, total=3)
    taken = [some.take(caller) for caller in ("a", "a", "a", "b", "b")]
    assert [place is not None for place in taken] == [True, True, False, True, False]
    assert taken[0] is not None
    taken[0].leave()
    taken[0].leave()
    assert some.take("b") is not None
    assert some.take("a") is None


async def test_the_oldest_unproven_request_gives_its_place_to_a_new_one() -> None:
    unproven = UnprovenPlaces(2)
    ends: list[str] = []

    async def hold(name: str) -> None:
        try:
            async with unproven.place(60):
                await asyncio.sleep(60)
        except TimeoutError:
            ends.append(name)

    holders = []
    for name in ("first", "second", "third", "fourth"):
        holders.append(asyncio.create_task(hold(name)))
        await asyncio.sleep(0)
    assert not ends
    await until(lambda: len(ends) == 2)
    assert ends == ["first", "second"]
    for holder in holders:
        holder.cancel()
    with pytest.raises(TimeoutError):
        async with unproven.place(0.01):
            await asyncio.sleep(60)


async def test_a_caller_with_many_requests_is_not_ahead_of_another() -> None:
    slots = Slots(total=3, per_caller=2)
    began: list[str] = []
    release = asyncio.Event()

    async def work(caller: str) -> None:
        async with slots.slot(caller):
            began.append(caller)
            await release.wait()

    tasks = [asyncio.create_task(work(caller)) for caller in ["crm"] * 20 + ["shop"]]
    await until(lambda: len(began) == 3)
    assert began == ["crm", "crm", "shop"]
    release.set()
    await asyncio.gather(*tasks)
