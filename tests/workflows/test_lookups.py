"""Lookups of a single send: quick ones in its first step, all others in activities."""

from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.api.enums.v1 import EventType

from send_whatsapp.client.state import get_state
from send_whatsapp.contract.names import SEND_WORKFLOW
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import SendHarness, WorkerOn, new_phone, until

TEMPLATE: dict[str, Any] = {"template": "visa_approved", "variables": {"name": "Ann"}}


async def test_a_quick_lookup_of_a_contact_needs_no_activity(
    harness: SendHarness, provider: Simulator
) -> None:
    state = await harness.send(message="x")
    assert state.outcome == "accepted"
    assert [name for name, _ in await activities(harness, state.id)] == ["send_text"]
    assert len(await provider.requests("create_contact")) == 1


async def test_an_unknown_template_is_looked_up_beside_the_contact(
    harness: SendHarness, provider: Simulator
) -> None:
    first, second = await harness.send(**TEMPLATE), await harness.send(**TEMPLATE)
    assert first.outcome == second.outcome == "accepted"
    started = sorted(await activities(harness, first.id))
    assert started == [("find_flow", 1), ("resolve_contact", 1), ("send_flow", 1)]
    assert (
        len(await workflow_tasks_that_scheduled(harness, first.id, "find_flow", "resolve_contact"))
        == 1
    )
    # Now the flow list is cached, and a quick lookup of the contact is enough.
    assert await activities(harness, second.id) == [("send_flow", 1)]


async def test_a_lookup_that_fails_at_once_is_the_first_attempt_of_its_activity(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    async with worker_on(CGB_RETRY_ATTEMPTS="1") as harness:
        await provider.faults(Fault(route="find_contact", status=503))
        state = await harness.send(message="x")
        assert state.outcome == "failed"
        assert len(await provider.requests("find_contact")) == 2
        assert await activities(harness, state.id) == [("resolve_contact", 2)]


async def test_retry_after_of_the_first_answer_is_kept(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    async with worker_on() as harness:
        limited = Fault(route="list_flows", status=429, headers={"Retry-After": "3"}, times=1)
        await provider.faults(limited)
        began = datetime.now(UTC)
        state = await harness.send(**TEMPLATE)
        assert datetime.now(UTC) - began >= timedelta(seconds=3)
        assert state.outcome == "accepted"
        assert len(await provider.requests("list_flows")) == 2
        started = sorted(await activities(harness, state.id))
        assert started == [("find_flow", 2), ("resolve_contact", 1), ("send_flow", 1)]


async def test_a_slow_lookup_continues_in_an_activity_that_operators_see(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    async with worker_on(CGB_TIMEOUT="3000") as harness:
        await provider.faults(Fault(route="find_contact", kind="hang", times=1))
        started = await harness.start(message="x")
        handle = harness.client.get_workflow_handle(started.id)

        async def pending() -> list[str]:
            described = (await handle.describe()).raw_description
            return [each.activity_type.name for each in described.pending_activities]

        await until(pending)
        assert await pending() == ["resolve_contact"]
        assert len(await provider.requests("find_contact")) == 1
        state = await get_state(harness.client, started.id, wait=True)
        assert state.outcome == "accepted"
        # The one that hung, then the search by number and by digits.
        assert len(await provider.requests("find_contact")) == 3
        assert len(await provider.requests("create_contact")) == 1


async def test_a_rate_limit_leaves_every_request_to_an_activity(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    async with worker_on(CGB_MAX_REQUESTS_PER_MINUTE="60000") as harness:
        state = await harness.send(**TEMPLATE)
        names = [name for name, _ in await activities(harness, state.id)]
        assert sorted(names) == ["find_flow", *["resolve_contact"] * 3, "send_flow"]


async def test_a_send_with_send_at_makes_no_call_before_its_time(
    harness: SendHarness, provider: Simulator
) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    # Our starters set a start delay; this one leaves the waiting to the workflow.
    handle = await harness.client.start_workflow(
        SEND_WORKFLOW,
        {"to": new_phone(), "sendAt": later.isoformat(), **TEMPLATE},
        id=new_phone(),
        task_queue=harness.task_queue,
    )

    async def waits() -> bool:
        events = (await handle.fetch_history()).events
        return any(e.event_type == EventType.EVENT_TYPE_TIMER_STARTED for e in events)

    await until(waits)
    assert not await provider.requests()
    await handle.cancel()


async def workflow_tasks_that_scheduled(
    harness: SendHarness, workflow_id: str, *names: str
) -> set[int]:
    """Return the workflow tasks that scheduled these activities."""
    events = (await harness.client.get_workflow_handle(workflow_id).fetch_history()).events
    scheduled = [
        e.activity_task_scheduled_event_attributes
        for e in events
        if e.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    ]
    return {
        each.workflow_task_completed_event_id
        for each in scheduled
        if each.activity_type.name in names
    }


async def activities(harness: SendHarness, workflow_id: str) -> list[tuple[str, int]]:
    """Return each activity of a closed run with its last attempt, in the order of their start."""
    events = (await harness.client.get_workflow_handle(workflow_id).fetch_history()).events
    names = {
        e.event_id: e.activity_task_scheduled_event_attributes.activity_type.name
        for e in events
        if e.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    }
    started = [
        e.activity_task_started_event_attributes
        for e in events
        if e.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED
    ]
    return [(names[each.scheduled_event_id], each.attempt) for each in started]
