"""Lookups of a single send: quick ones of contacts in its first step, all others by activities."""

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


async def test_a_template_that_is_not_known_is_looked_up_beside_the_contact(
    harness: SendHarness, provider: Simulator
) -> None:
    first, second = await harness.send(**TEMPLATE), await harness.send(**TEMPLATE)
    assert first.outcome == second.outcome == "accepted"
    begun = sorted(await activities(harness, first.id))
    assert begun == [("find_flow", 1), ("resolve_contact", 1), ("send_flow", 1)]
    assert (
        len(await workflow_tasks_that_began(harness, first.id, "find_flow", "resolve_contact")) == 1
    )
    # From then on the list is known, and a quick lookup of the contact is enough.
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
        begun = sorted(await activities(harness, state.id))
        assert begun == [("find_flow", 2), ("resolve_contact", 1), ("send_flow", 1)]


async def test_a_slow_lookup_goes_on_where_operators_see_it(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    async with worker_on(CGB_TIMEOUT="3000") as harness:
        await provider.faults(Fault(route="find_contact", kind="hang", times=1))
        begun = await harness.start(message="x")
        handle = harness.client.get_workflow_handle(begun.id)

        async def pending() -> list[str]:
            described = (await handle.describe()).raw_description
            return [each.activity_type.name for each in described.pending_activities]

        await until(pending)
        assert await pending() == ["resolve_contact"]
        assert len(await provider.requests("find_contact")) == 1
        state = await get_state(harness.client, begun.id, wait=True)
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


async def test_a_send_for_later_asks_nothing_before_its_time(
    harness: SendHarness, provider: Simulator
) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    # Our starters delay the start; others leave the waiting to the run.
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


async def workflow_tasks_that_began(
    harness: SendHarness, workflow_id: str, *names: str
) -> set[int]:
    """Return the workflow tasks of a run that asked for these activities."""
    events = (await harness.client.get_workflow_handle(workflow_id).fetch_history()).events
    asked = [
        e.activity_task_scheduled_event_attributes
        for e in events
        if e.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    ]
    return {
        each.workflow_task_completed_event_id for each in asked if each.activity_type.name in names
    }


async def activities(harness: SendHarness, workflow_id: str) -> list[tuple[str, int]]:
    """Return each activity of a closed run and the attempt it ended with, as they began."""
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
