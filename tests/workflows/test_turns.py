"""Turns: one message at a time to one person, in the order in which they were asked for."""

import asyncio
import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client
from temporalio.service import RPCError

from send_whatsapp.client.state import Started, get_state
from send_whatsapp.contract.names import SEND_WORKFLOW, new_workflow_id
from send_whatsapp.contract.turns import keeper_id
from send_whatsapp.settings import WorkerSettings
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import (
    ProcessOn,
    SendHarness,
    WorkerOn,
    cancel,
    error_type,
    new_phone,
    until,
)
from tests.workflows.conftest import BUSY_S
from tools.dev_server import DevServer

# Ten messages to one person take 20 s, more on a busy machine.
pytestmark = pytest.mark.timeout(300)

RENDERED_AFTER_MS = 700

GAP_S = 2.0


def template(name: str, **fields: Any) -> dict[str, Any]:
    """Return the fields of a template with a variable."""
    return {"template": "visa_approved", "variables": {"name": name}, **fields}


async def texts(provider: Simulator, phone: str) -> list[str]:
    return [message["text"] for message in await provider.inbox(phone)]


async def test_ten_templates_to_one_person_through_two_workers_keep_their_own_words(
    client: Client,
    server: DevServer,
    provider: Simulator,
    settings_for: Callable[..., WorkerSettings],
    worker_process: ProcessOn,
) -> None:
    await provider.render_after(RENDERED_AFTER_MS)
    settings = settings_for(CGB_TIMEOUT="5000")
    harness, phone = SendHarness(client, settings), new_phone()
    with worker_process(settings), worker_process(settings):
        started = await asyncio.gather(
            *(harness.start(to=phone, **template(f"person {n}")) for n in range(10))
        )
        states = await asyncio.gather(
            *(get_state(client, each.id, run_id=each.run_id, wait=True) for each in started)
        )
    assert {state.outcome for state in states} == {"accepted"}

    async def all_arrived() -> bool:
        return len(await texts(provider, phone)) == 10

    await until(all_arrived, BUSY_S)
    found = await provider.inbox(phone)
    expected = {f"Dear person {n}, your visa is approved." for n in range(10)}
    assert {message["text"] for message in found} == expected
    # The times of the requests: those of the rendering depend on how busy the simulator is.
    times = [request["at"] for request in await provider.requests("send_content")]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert min(gaps) >= GAP_S


async def test_a_send_with_in_order_waits_for_its_turn_and_says_behind_whom(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    phone = new_phone()
    await provider.faults(HELD)
    async with worker_on(CGB_TIMEOUT="60000", CGB_RECIPIENT_GAP="300") as harness:
        first = await harness.start(to=phone, message="one", inOrder=True)
        await until(lambda: has_called(provider))
        second = await harness.start(to=phone, **template("two"))
        await until(lambda: says(harness, second, f"Waits for its turn behind {first.id}."))
        await until(lambda: shows(harness, second, f"Waits for its turn behind {first.id}."))
        other = await harness.send(to=phone, message="takes no turn")
        await provider.faults()
        assert (await outcome(harness, first), await outcome(harness, second)) == (
            "accepted",
            "accepted",
        )
    assert other.outcome == "accepted"
    assert [m["text"] for m in await provider.inbox(phone)] == [
        "takes no turn",
        "one",
        "Dear two, your visa is approved.",
    ]


async def test_a_send_that_waits_for_its_turn_can_be_cancelled_at_once(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    phone = new_phone()
    await provider.faults(HELD)
    async with worker_on(CGB_TIMEOUT="60000", CGB_RECIPIENT_GAP="300") as harness:
        first = await harness.start(to=phone, message="one", inOrder=True)
        await until(lambda: has_called(provider))
        second = await harness.start(to=phone, message="two", inOrder=True)
        await until(lambda: says(harness, second, f"Waits for its turn behind {first.id}."))
        third = await harness.start(to=phone, message="three", inOrder=True)
        await until(lambda: says(harness, third, f"Waits for its turn behind {second.id}."))
        assert (await cancel(harness.client, second.id)).outcome == "cancelled"
        assert len(await provider.requests("send_text")) == 1
        await provider.faults()
        assert await outcome(harness, first) == "accepted"
        assert await outcome(harness, third) == "accepted"
    assert [m["text"] for m in await provider.inbox(phone)] == ["one", "three"]


async def test_a_send_that_waits_for_its_turn_expires(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    phone = new_phone()
    await provider.faults(HELD)
    async with worker_on(CGB_TIMEOUT="60000") as harness:
        first = await harness.start(to=phone, message="one", inOrder=True)
        await until(lambda: has_called(provider))
        expires_at = datetime.now(UTC) + timedelta(seconds=1)
        second = await harness.send(to=phone, message="two", inOrder=True, expiresAt=expires_at)
        assert error_type(second) == "Expired"
        await provider.faults()
        assert await outcome(harness, first) == "accepted"


async def test_a_send_at_a_later_time_takes_its_turn_then(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    phone = new_phone()
    async with worker_on(CGB_TIMEOUT="8000", CGB_RECIPIENT_GAP="300") as harness:
        handle = await harness.client.start_workflow(
            SEND_WORKFLOW,
            {"to": phone, "message": "later", "inOrder": True, "sendAt": in_s(10)},
            id=new_workflow_id(),
            task_queue=harness.task_queue,
        )
        assert (await harness.send(to=phone, message="now", inOrder=True)).outcome == "accepted"
        await handle.result()
    assert [m["text"] for m in await provider.inbox(phone)] == ["now", "later"]


async def test_a_send_that_waits_for_another_attempt_keeps_its_turn(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    phone = new_phone()
    limited = Fault(route="send_text", status=429, headers={"retry-after": "3"}, times=1)
    await provider.faults(limited)
    async with worker_on(CGB_RETRY_FOR="60", CGB_RECIPIENT_GAP="300") as harness:
        first = await harness.start(to=phone, message="one", inOrder=True)
        await until(lambda: has_called(provider))
        second = await harness.start(to=phone, message="two", inOrder=True)
        assert await outcome(harness, first) == await outcome(harness, second) == "accepted"
    assert [m["text"] for m in await provider.inbox(phone)] == ["one", "two"]


async def test_a_send_without_a_turn_does_not_know_the_keeper(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    async with worker_on() as harness:
        assert (await harness.send(message="x")).outcome == "accepted"
        assert (await harness.send(template="visa_approved")).outcome == "accepted"
        keeper = harness.client.get_workflow_handle(keeper_id(harness.task_queue))
        with pytest.raises(RPCError, match="not found"):
            await keeper.describe()


async def test_the_keeper_knows_no_phone_number(worker_on: WorkerOn, provider: Simulator) -> None:
    phone = new_phone()
    async with worker_on() as harness:
        assert (await harness.send(to=phone, message="x", inOrder=True)).outcome == "accepted"
        keeper = harness.client.get_workflow_handle(keeper_id(harness.task_queue))
        history = (await keeper.fetch_history()).to_json()
    words = [base64.b64decode(data) for data in re.findall(r'"data": "([^"]+)"', history)]
    assert any(b"ticket" in word for word in words)
    assert not any(phone.lstrip("+").encode() in word for word in words)


HELD = Fault(route="send_text", kind="hold", times=1)
"""The first text is sent when the test replaces the faults."""


async def has_called(provider: Simulator) -> bool:
    return bool(await provider.requests("send_text"))


async def outcome(harness: SendHarness, run: Started) -> str:
    return (await get_state(harness.client, run.id, run_id=run.run_id, wait=True)).outcome


async def says(harness: SendHarness, run: Started, words: str) -> bool:
    """Return whether `send-whatsapp status` says so."""
    state = await get_state(harness.client, run.id)
    return bool(state.progress and state.progress.summary == words)


async def shows(harness: SendHarness, run: Started, words: str) -> bool:
    """Return whether the run's page shows this as its current details."""
    handle = harness.client.get_workflow_handle(run.id)
    metadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    return words in metadata.current_details


def in_s(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
