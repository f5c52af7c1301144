"""A thousand starts at once with one key: one message, one result for all."""

import asyncio
import uuid

from send_whatsapp.client import sends
from send_whatsapp.client.errors import KeyConflict
from send_whatsapp.client.state import get_state
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.temporal.connection import TemporalUnavailable
from simulator.process import Simulator
from tests.conftest import SendHarness, new_phone, succeeded

STARTS = 1000
OTHERS = 50


async def test_a_thousand_starts_with_one_key_are_one_send(
    harness: SendHarness, provider: Simulator
) -> None:
    one, phone = f"order-{uuid.uuid4()}", new_phone()
    request = SendWhatsAppRequest(to=phone, message="x", delivery="at_most_once")
    other = SendWhatsAppRequest(to=phone, message="another", delivery="at_most_once")
    # The first start is finished before the others, so that it is clear whose request wins.
    first = await harness.start(one, to=phone, message="x", delivery="at_most_once")

    async def send(request: SendWhatsAppRequest) -> str:
        while True:
            try:
                result = await sends.send(
                    harness.client, request, key=one, task_queue=harness.task_queue
                )
            except KeyConflict:
                return "refused"
            except TemporalUnavailable:
                # A small server may need longer for all starts than one caller waits. The key lets
                # the caller try again.
                continue
            return result.model_dump_json()

    same = [send(request) for _ in range(STARTS)]
    results = await asyncio.gather(*same, *(send(other) for _ in range(OTHERS)))
    state = await get_state(harness.client, one)
    assert state.run_id == first.run_id
    assert set(results[:STARTS]) == {succeeded(state).model_dump_json()}
    assert set(results[STARTS:]) == {"refused"}
    assert [message["text"] for message in await provider.inbox(phone)] == ["x"]


async def test_concurrent_starts_with_two_requests_send_one_of_them(
    harness: SendHarness, provider: Simulator
) -> None:
    one, phone = f"order-{uuid.uuid4()}", new_phone()

    async def start(text: str) -> str | None:
        try:
            started = await harness.start(one, to=phone, message=text)
        except KeyConflict:
            return None
        return started.run_id

    texts = ["x", "y"] * 50
    runs = await asyncio.gather(*(start(text) for text in texts))
    state = await get_state(harness.client, one, wait=True)
    [arrived] = await provider.inbox(phone)
    assert runs == [state.run_id if text == arrived["text"] else None for text in texts]
