"""A send whose worker dies closes in time, however it was withdrawn or paused meanwhile."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import PollActivityTaskQueueRequest
from temporalio.client import Client
from temporalio.runtime import Runtime

import worker as worker_module
from send_whatsapp.client import batches, sends
from send_whatsapp.client.state import Started, get_state
from send_whatsapp.contract.batch import Row
from send_whatsapp.contract.fields import Delivery
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.settings import WorkerSettings
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import ProcessOn, SendHarness, new_phone, until
from tests.workflows.conftest import (
    BUSY_S,
    Batch,
    Operator,
    activities_for,
    workflows_only,
)

# Workers start twice, which takes long on a busy machine.
pytestmark = pytest.mark.timeout(300)

TIMEOUT_S = 6
START_TO_CLOSE_S = TIMEOUT_S + 3
CLOSES_WITHIN_S = START_TO_CLOSE_S + 10
"""After the last step, if a worker runs."""

# What happens to a send in flight: before its worker is killed, right after that, and later, when
# its attempt has outlived its timeout.
SCENARIOS: dict[str, tuple[list[str], list[str], list[str]]] = {
    "nothing": ([], [], []),
    "cancel, kill": (["cancel"], [], []),
    "kill, cancel": ([], ["cancel"], []),
    "kill, late cancel": ([], [], ["cancel"]),
    "expire": (["expire"], [], []),
    "pause, expire": (["expire", "pause"], [], []),
    "pause, kill, cancel": (["pause"], ["cancel"], []),
    "pause, kill, late cancel": (["pause"], [], ["cancel"]),
    "pause, cancel, kill": (["pause", "cancel"], [], []),
    "cancel, pause, kill": (["cancel", "pause"], [], []),
    "cancel, kill, late unpause": (["cancel", "pause"], [], ["unpause"]),
    "pause, unpause, kill": (["pause", "unpause"], [], []),
    "pause, kill, unpause": (["pause"], ["unpause"], []),
    "pause, kill, late unpause": (["pause"], [], ["unpause"]),
    "pause, kill, late reset": (["pause"], [], ["reset", "unpause"]),
}

SENT_AGAIN = {
    "nothing",
    "kill, late cancel",
    "pause, unpause, kill",
    "pause, kill, unpause",
    "pause, kill, late unpause",
    "pause, kill, late reset",
}


@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
async def test_a_send_in_flight_whose_worker_is_killed(
    client: Client,
    provider: Simulator,
    settings_for: Callable[..., WorkerSettings],
    worker_process: ProcessOn,
    operator: Operator,
    delivery: str,
) -> None:
    settings = settings_for(CGB_TIMEOUT=str(TIMEOUT_S * 1000), CGB_RETRY_ATTEMPTS="2")
    harness = SendHarness(client, settings)
    phones = {name: new_phone() for name in SCENARIOS}
    runs: dict[str, Started] = {}

    async def do(name: str, steps: list[str]) -> None:
        for step in steps:
            if step == "cancel":
                await sends.request_cancel(client, await get_state(client, runs[name].id))
            elif step != "expire":
                await operator(step, runs[name].id)

    async def do_all(phase: int) -> None:
        await asyncio.gather(*(do(name, phases[phase]) for name, phases in SCENARIOS.items()))

    with worker_process(settings) as first:
        await asyncio.gather(*(harness.send(to=to, message="hello") for to in phones.values()))
        hang = Fault(route="send_text", kind="hang", effect=True, times=len(SCENARIOS))
        await provider.reset()
        await provider.contacts(*phones.values())
        await provider.faults(hang)
        expires_at = (datetime.now(UTC) + timedelta(seconds=TIMEOUT_S - 1)).isoformat()
        for name, phases in SCENARIOS.items():
            fields = {"expiresAt": expires_at} if "expire" in phases[0] else {}
            runs[name] = await harness.start(
                to=phones[name], message="x", delivery=delivery, **fields
            )
        await until(lambda: _all_in_flight(provider), BUSY_S)
        await do_all(0)
        os.kill(first.pid, signal.SIGKILL)
        killed_at = asyncio.get_running_loop().time()
    with worker_process(settings):
        await do_all(1)
        await asyncio.sleep(killed_at + START_TO_CLOSE_S + 2 - asyncio.get_running_loop().time())
        await do_all(2)
        ends: dict[str, str] = {}

        async def all_closed() -> bool:
            for name, run in runs.items():
                ends[name] = (await get_state(client, run.id)).outcome
            return "running" not in ends.values()

        with suppress(TimeoutError):
            await until(all_closed, CLOSES_WITHIN_S + BUSY_S / 4)
    arrived = {name: len(await provider.inbox(phone)) for name, phone in phones.items()}
    # Only `at_least_once` sends again, if nothing withdrew the send before its timeout.
    again = set() if delivery == "at_most_once" else SENT_AGAIN
    assert ends == {n: "accepted" if n in again else "unknown" for n in SCENARIOS}
    assert arrived == {n: 2 if n in again else 1 for n in SCENARIOS}


async def _all_in_flight(provider: Simulator) -> bool:
    return len(await provider.requests("send_text")) == len(SCENARIOS)


async def test_an_attempt_that_no_worker_ran_is_made_again(
    client: Client,
    runtime: Runtime,
    provider: Simulator,
    settings_for: Callable[..., WorkerSettings],
) -> None:
    settings, phone = settings_for(CGB_TIMEOUT="1000"), new_phone()
    harness = SendHarness(client, settings)
    await provider.contacts(phone)
    async with activities_for(settings, runtime) as activities:
        async with workflows_only(client, settings, activities):
            started = await harness.start(to=phone, message="x", delivery="at_most_once")
            # A poller that takes the task and vanishes: the server counts the attempt as started.
            task = await client.workflow_service.poll_activity_task_queue(
                PollActivityTaskQueueRequest(
                    namespace=client.namespace, task_queue=TaskQueue(name=settings.task_queue)
                )
            )
            assert task.workflow_execution.workflow_id == started.id
        async with worker_module.build_worker(client, settings, activities):
            state = await get_state(client, started.id, wait=True)
    assert state.outcome == "accepted"
    assert len(await provider.inbox(phone)) == 1


@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
async def test_a_batch_that_is_cancelled_while_its_worker_is_killed(
    client: Client,
    provider: Simulator,
    settings_for: Callable[..., WorkerSettings],
    worker_process: ProcessOn,
    delivery: Delivery,
) -> None:
    settings = settings_for(CGB_TIMEOUT="2000", CGB_RETRY_ATTEMPTS="2")
    harness = SendHarness(client, settings)
    cancelled_before, cancelled_after = (
        Batch(harness, [row(number, delivery) for number in range(2, 32)]) for _ in range(2)
    )
    both = (cancelled_before, cancelled_after)
    await provider.contacts(*(row.request.to for batch in both for row in batch.rows))
    in_flight = 25
    hang = Fault(route="send_text", kind="hang", effect=True, times=2 * in_flight)
    await provider.faults(hang)
    with worker_process(settings) as first:
        for batch in both:
            await batch.start(in_flight=in_flight)

        async def all_in_flight() -> bool:
            return len(await provider.requests("send_text")) == 2 * in_flight

        await until(all_in_flight, BUSY_S)
        await batches.cancel(client, cancelled_before.key)
        os.kill(first.pid, signal.SIGKILL)
    with worker_process(settings):
        await batches.cancel(client, cancelled_after.key)
        # The timeout of a group of 20 s, the margin of 10 s, and a worker that starts on a busy
        # machine.
        for batch in both:
            outcomes = Counter(await batch.outcomes(within_s=30 + BUSY_S / 4))
            assert outcomes["cancelled"] == len(batch.rows) - in_flight
            # Under `at_least_once` the new worker may send a row again before it is cancelled.
            sent_again = outcomes["accepted"] if delivery == "at_least_once" else 0
            assert outcomes["unknown"] == in_flight - sent_again


def row(number: int, delivery: Delivery) -> Row:
    request = SendWhatsAppRequest(to=new_phone(), message="x", delivery=delivery)
    return Row(row=number, key=f"k{number}", request=request)
