"""Callers share the task queue fairly: a flood of one does not hold up the messages of another."""

import asyncio
from collections.abc import Callable
from statistics import median

import httpx
from temporalio.client import Client

from send_whatsapp.gateway.tokens import Tokens
from send_whatsapp.settings import WorkerSettings
from simulator.process import Simulator
from tests.conftest import WorkerOn, new_phone, until
from tests.gateway.conftest import gateway

FLOOD, FEW = 100, 5
TOKENS = {"flood": "the-token-of-flood", "rare": "the-token-of-rare"}


async def test_a_caller_that_sends_now_and_then_does_not_wait_behind_a_flood(
    client: Client,
    provider: Simulator,
    worker_on: WorkerOn,
    settings_for: Callable[..., WorkerSettings],
) -> None:
    queue = settings_for().task_queue
    rare = [new_phone() for _ in range(FEW)]
    async with gateway(client, queue, Tokens(TOKENS, None)) as http:
        slots = asyncio.Semaphore(10)

        async def send(caller: str, phone: str) -> None:
            async with slots:
                await start(http, caller, phone)

        await asyncio.gather(*(send("flood", new_phone()) for _ in range(FLOOD)))
        # All of these are queued behind the flood.
        await asyncio.gather(*(send("rare", phone) for phone in rare))
    async with worker_on(TEMPORAL_TASK_QUEUE=queue, CGB_TIMEOUT="20000"):

        async def all_sent() -> bool:
            return len(await provider.inbox()) == FLOOD + FEW

        await until(all_sent, within_s=90)
    order = [message["phone"] for message in await provider.inbox()]
    places = sorted(order.index(phone) for phone in rare)
    # First in, first out would give them the last places. The partitions of the queue are not
    # equally long, so one of them may come later than the others.
    assert median(places) < FLOOD / 2, places


async def start(http: httpx.AsyncClient, caller: str, phone: str) -> None:
    headers = {"Authorization": f"Bearer {TOKENS[caller]}"}
    body = {"to": phone, "message": "x"}
    answer = await http.post("/v1/messages", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
