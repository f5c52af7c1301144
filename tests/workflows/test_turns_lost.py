"""Turns whose holders or whose keeper are lost: nobody waits forever, and nothing is lost."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import (
    PauseActivityRequest,
    ResetWorkflowExecutionRequest,
)
from temporalio.client import Client
from temporalio.runtime import Runtime

import worker as worker_module
from send_whatsapp.client.state import Started, get_state
from send_whatsapp.contract.names import SEND_ACTIVITY_ID
from send_whatsapp.contract.turns import keeper_id
from send_whatsapp.settings import WorkerSettings
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import ProcessOn, SendHarness, WorkerOn, cancel, new_phone, start_keeper, until
from tests.workflows.conftest import activities_for
from workflows import turn_keeper

pytestmark = pytest.mark.timeout(300)

GIVEN_UP_WITHIN_S = 30
"""Promise of docs/delivery.md, plus the time of the next send on a busy machine."""

BUSY_S = 10

HELD = Fault(route="send_text", kind="hold", times=1)
"""The first text is sent when the test replaces the faults."""

RATE_LIMITED = Fault(route="send_text", status=429, headers={"retry-after": "200"}, times=1)


async def terminate(harness: SendHarness, run: Started) -> None:
    await harness.client.get_workflow_handle(run.id).terminate()


async def cancel_it(harness: SendHarness, run: Started) -> None:
    assert (await cancel(harness.client, run.id)).outcome == "cancelled"


async def reset(harness: SendHarness, run: Started, finish_event_id: int = 4) -> None:
    """Reset a run to its first workflow task, so that it asks for another turn."""
    execution = WorkflowExecution(workflow_id=run.id, run_id=run.run_id)
    await harness.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace="default",
            workflow_execution=execution,
            reason="a test",
            workflow_task_finish_event_id=finish_event_id,
            request_id=run.id,
        )
    )


ENDS: dict[str, Callable[[SendHarness, Started], Awaitable[None]]] = {
    "terminated": terminate,
    "cancelled": cancel_it,
    "reset": reset,
}


@pytest.mark.parametrize("how", ENDS)
async def test_a_holder_that_is_lost_gives_its_turn_up(
    worker_on: WorkerOn, provider: Simulator, how: str
) -> None:
    phone = new_phone()
    await provider.faults(RATE_LIMITED)
    async with worker_on(
        CGB_TIMEOUT="2000", CGB_RETRY_FOR="600", CGB_RECIPIENT_GAP="300"
    ) as harness:
        first = await harness.start(to=phone, message="one", inOrder=True)
        await until(lambda: retrying(harness, first))
        second = await harness.start(to=phone, message="two", inOrder=True)
        await until(lambda: waits(harness, second))
        lost_at = time.monotonic()
        await ENDS[how](harness, first)
        assert await outcome(harness, second) == "accepted"
        assert time.monotonic() - lost_at < GIVEN_UP_WITHIN_S + BUSY_S
        if how == "reset":
            state = await get_state(harness.client, first.id, wait=True)
            assert state.outcome == "accepted"
    texts = [m["text"] for m in await provider.inbox(phone)]
    assert texts == (["two", "one"] if how == "reset" else ["two"])


@pytest.mark.parametrize("is_scheduled", [False, True])
async def test_a_send_that_is_reset_after_its_lookups_waits_for_another_turn(
    worker_on: WorkerOn, provider: Simulator, is_scheduled: bool
) -> None:
    phone = new_phone()
    await provider.faults(RATE_LIMITED.model_copy(update={"route": "send_content"}))
    async with worker_on(
        CGB_TIMEOUT="2000", CGB_RETRY_FOR="600", CGB_RECIPIENT_GAP="1000"
    ) as harness:
        first = await harness.start(to=phone, template="visa_approved", variables={"name": "one"})
        await until(lambda: retrying(harness, first))
        second = await harness.start(to=phone, message="two", inOrder=True)
        await until(lambda: waits(harness, second))
        await reset(harness, first, await task_of_send(harness, first, is_scheduled))
        assert await outcome(harness, second) == "accepted"
        state = await get_state(harness.client, first.id, wait=True)
        assert state.run_id != first.run_id
        assert state.outcome == "accepted"
    found = await provider.inbox(phone)
    assert [m["text"] for m in found] == ["two", "Dear one, your visa is approved."]
    assert found[1]["at"] - found[0]["at"] >= 1


async def test_a_turn_that_a_signal_has_granted_is_not_that_of_a_reset_run(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    phone = new_phone()
    await provider.faults(HELD)
    async with worker_on(
        CGB_TIMEOUT="20000", CGB_RETRY_FOR="600", CGB_RECIPIENT_GAP="300"
    ) as harness:
        first = await harness.start(to=phone, message="one", inOrder=True)
        await until(lambda: has_called(provider))
        second = await harness.start(to=phone, message="two", inOrder=True)
        await until(lambda: waits(harness, second))
        third = await harness.start(to=phone, message="three", inOrder=True)
        await until(lambda: waits(harness, third))
        await provider.faults(RATE_LIMITED)
        assert await outcome(harness, first) == "accepted"
        await until(lambda: retrying(harness, second))
        # Temporal repeats the signals of the earlier run to the new one.
        await reset(harness, second)
        assert await outcome(harness, third) == "accepted"
        assert (await get_state(harness.client, second.id, wait=True)).outcome == "accepted"
    assert [m["text"] for m in await provider.inbox(phone)] == ["one", "three", "two"]


async def test_others_wait_behind_a_paused_send(worker_on: WorkerOn, provider: Simulator) -> None:
    phone = new_phone()
    await provider.faults(RATE_LIMITED)
    async with worker_on(CGB_RETRY_FOR="600", CGB_RECIPIENT_GAP="300") as harness:
        first = await harness.start(to=phone, message="one", inOrder=True)
        await until(lambda: retrying(harness, first))
        handle = harness.client.get_workflow_handle(first.id)
        await harness.client.workflow_service.pause_activity(pause(first))
        second = await harness.start(to=phone, message="two", inOrder=True)
        await until(lambda: waits(harness, second))
        # Longer than the keeper takes to look whether the run is still open.
        await asyncio.sleep(turn_keeper.CHECK_HOLDERS_S + 3)
        assert await waits(harness, second)
        await handle.cancel()
        assert await outcome(harness, second) == "accepted"
    assert [m["text"] for m in await provider.inbox(phone)] == ["two"]


async def test_sends_go_on_after_the_keeper_is_terminated(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    phone = new_phone()
    await provider.faults(HELD)
    async with worker_on(CGB_TIMEOUT="60000") as harness:
        started = [await harness.start(to=phone, message="1", inOrder=True)]
        await until(lambda: has_called(provider))
        for number in range(2, 7):
            started.append(await harness.start(to=phone, message=str(number), inOrder=True))
            await until(lambda: waits(harness, started[-1]))
        await provider.faults()
        assert await outcome(harness, started[0]) == "accepted"
        await harness.client.get_workflow_handle(keeper_id(harness.task_queue)).terminate()
        lost_at = time.time()
        ends = await asyncio.gather(*(outcome(harness, run) for run in started))
        assert set(ends) == {"accepted"}
    found = await provider.inbox(phone)
    assert [message["text"] for message in found] == ["1", "2", "3", "4", "5", "6"]
    times = [message["at"] for message in found]
    assert min(later - earlier for earlier, later in pairwise(times)) >= 2
    next_send = min(at for at in times if at > lost_at + 3)
    assert next_send - lost_at < GIVEN_UP_WITHIN_S


async def test_a_keeper_that_is_away_fails_no_send(
    client: Client, settings_for: Callable[..., WorkerSettings], runtime: Runtime
) -> None:
    settings = settings_for(CGB_TIMEOUT="5000")
    harness = SendHarness(client, settings)
    async with (
        activities_for(settings, runtime) as activities,
        worker_module.build_worker(client, settings, activities),
    ):
        run = await harness.start(message="x", inOrder=True)
        expiring = await harness.start(message="x", inOrder=True, expiresAt=in_s(3))

        async def says_so() -> bool:
            state = await get_state(client, run.id)
            return bool(state.progress and "keeper of turns" in state.progress.summary)

        await until(says_so)
        assert await outcome(harness, expiring) == "failed"
        async with worker_module.build_keeper(client, settings):
            assert await outcome(harness, run) == "accepted"


async def test_the_keeper_continues_as_new_without_losing_anybody(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    people = [new_phone() for _ in range(5)]
    async with worker_on(CGB_TIMEOUT="5000", CGB_RECIPIENT_GAP="500") as harness:
        keeper = await start_keeper(harness, steps_per_run=10)
        started = [
            await harness.start(to=phone, message=str(n), inOrder=True)
            for n in range(6)
            for phone in people
        ]
        ends = await asyncio.gather(*(outcome(harness, run) for run in started))
        assert (await keeper.describe()).run_id != keeper.first_execution_run_id
    assert set(ends) == {"accepted"}
    for phone in people:
        found = await provider.inbox(phone)
        assert sorted(message["text"] for message in found) == list("012345")
        assert min(later["at"] - earlier["at"] for earlier, later in pairwise(found)) >= 0.5


async def test_the_next_send_begins_after_a_killed_worker_held_a_turn(
    client: Client,
    provider: Simulator,
    settings_for: Callable[..., WorkerSettings],
    worker_process: ProcessOn,
) -> None:
    settings = settings_for(CGB_TIMEOUT="10000", CGB_RETRY_ATTEMPTS="2")
    harness, phone = SendHarness(client, settings), new_phone()
    await provider.faults(Fault(route="send_text", kind="hang", times=1))
    with worker_process(settings) as first_worker:
        first = await harness.start(to=phone, message="one", delivery="at_most_once", inOrder=True)
        await until(lambda: has_called(provider), 60)
        second = await harness.start(to=phone, message="two", inOrder=True)
        await until(lambda: waits(harness, second))
        os.kill(first_worker.pid, signal.SIGKILL)
        first_worker.wait()
        killed_at = time.monotonic()
        with worker_process(settings):
            assert await outcome(harness, second) == "accepted"
            assert time.monotonic() - killed_at < GIVEN_UP_WITHIN_S + BUSY_S
            assert await outcome(harness, first) == "unknown"
    assert [m["text"] for m in await provider.inbox(phone)] == ["two"]


async def task_of_send(harness: SendHarness, run: Started, is_scheduled: bool) -> int:
    """Return the completion of the task that scheduled the send, or of the first one after it."""
    history = await harness.client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
    scheduled = max(
        (
            event.activity_task_scheduled_event_attributes
            for event in history.events
            if event.HasField("activity_task_scheduled_event_attributes")
        ),
        key=lambda attributes: attributes.workflow_task_completed_event_id,
    )
    assert scheduled.activity_type.name == "send_flow"
    task = scheduled.workflow_task_completed_event_id
    if not is_scheduled:
        return task
    return min(
        event.event_id
        for event in history.events
        if event.event_id > task and event.HasField("workflow_task_completed_event_attributes")
    )


def pause(run: Started) -> PauseActivityRequest:
    execution = WorkflowExecution(workflow_id=run.id)
    return PauseActivityRequest(namespace="default", execution=execution, id=SEND_ACTIVITY_ID)


async def outcome(harness: SendHarness, run: Started) -> str:
    return (await get_state(harness.client, run.id, run_id=run.run_id, wait=True)).outcome


async def has_called(provider: Simulator) -> bool:
    return bool(await provider.requests("send_text"))


async def retrying(harness: SendHarness, run: Started) -> bool:
    state = await get_state(harness.client, run.id)
    return bool(state.progress and state.progress.last_failure)


async def waits(harness: SendHarness, run: Started) -> bool:
    state = await get_state(harness.client, run.id)
    return bool(state.progress and state.progress.summary.startswith("Waits for its turn behind"))


def in_s(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
