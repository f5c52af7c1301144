"""Delivery guarantees: lost answers, resets, expiry."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import (
    PauseActivityRequest,
    ResetActivityRequest,
    ResetWorkflowExecutionRequest,
)

from send_whatsapp.client.state import get_state
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import SendHarness, WorkerOn, error_type, new_phone, until

ProcessOn = Callable[..., Any]
DELIVERIES = ["at_least_once", "at_most_once"]


@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize(
    "fault",
    [
        Fault(route="send_text", kind="cut", effect=True, times=1),
        Fault(route="send_text", kind="reset", effect=True, times=1),
        Fault(route="send_text", kind="hang", effect=True, times=1),
        Fault(route="send_text", status=500, effect=True, times=1),
        Fault(route="send_text", status=500, times=1),
        Fault(route="send_text", kind="raw", raw="HTTP/1.1 200 OK\r\ncontent-le", times=1),
        Fault(
            route="send_text",
            kind="raw",
            raw="HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{",
            effect=True,
            times=1,
        ),
        Fault(route="send_text", kind="drip", effect=True, times=1),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}-{fault.effect}",
)
async def test_a_lost_answer_is_unknown_or_retried(
    harness: SendHarness, provider: Simulator, delivery: str, fault: Fault
) -> None:
    phone = new_phone()
    await provider.faults(fault)
    state = await harness.send(to=phone, message="x", delivery=delivery)
    arrived = len(await provider.inbox(phone))
    if delivery == "at_most_once":
        assert state.outcome == "unknown"
        assert arrived == (1 if fault.effect else 0)
    else:
        assert state.outcome == "accepted"
        assert arrived == (2 if fault.effect else 1)


@pytest.mark.parametrize("reset_heartbeat", [False, True])
async def test_an_activity_reset_in_flight_sends_at_most_once(
    harness: SendHarness, provider: Simulator, reset_heartbeat: bool
) -> None:
    phone = new_phone()
    await provider.faults(Fault(route="send_text", kind="hang", effect=True, times=1))
    started = await harness.start(to=phone, message="x", delivery="at_most_once")
    await until(lambda: _requests(provider, "send_text"))
    await harness.client.workflow_service.reset_activity(
        ResetActivityRequest(
            namespace="default",
            execution=WorkflowExecution(workflow_id=started.id),
            id="send",
            reset_heartbeat=reset_heartbeat,
        )
    )
    state = await get_state(harness.client, started.id, wait=True)
    assert state.outcome == "unknown"
    assert len(await provider.inbox(phone)) == 1


@pytest.mark.parametrize(("delivery", "arrived"), [("at_most_once", 1), ("at_least_once", 2)])
async def test_a_workflow_reset_repeats_the_send_unless_at_most_once(
    harness: SendHarness, provider: Simulator, delivery: str, arrived: int
) -> None:
    phone = new_phone()
    first = await harness.send(to=phone, message="x", delivery=delivery)
    history = await harness.client.get_workflow_handle(first.id).fetch_history()
    finished = next(
        e.event_id for e in history.events if e.HasField("workflow_task_completed_event_attributes")
    )
    reset = await harness.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace="default",
            workflow_execution=WorkflowExecution(workflow_id=first.id, run_id=first.run_id),
            reason="a test",
            workflow_task_finish_event_id=finished,
            request_id=new_phone(),
        )
    )
    state = await get_state(harness.client, first.id, run_id=reset.run_id, wait=True)
    assert state.outcome == ("unknown" if delivery == "at_most_once" else "accepted")
    assert len(await provider.inbox(phone)) == arrived


@pytest.mark.parametrize(
    ("route", "status", "outcome", "type_"),
    [
        ("find_contact", 503, "failed", "Expired"),
        ("send_text", 429, "failed", "Expired"),
        ("send_text", 503, "unknown", "DeliveryUnknown"),
    ],
)
async def test_nothing_is_sent_after_expires_at(
    harness: SendHarness, provider: Simulator, route: Any, status: int, outcome: str, type_: str
) -> None:
    await provider.faults(Fault(route=route, status=status, headers={"retry-after": "60"}))
    expires = (datetime.now(UTC) + timedelta(seconds=5)).isoformat()
    state = await harness.send(message="x", expiresAt=expires)
    assert state.outcome == outcome
    assert error_type(state) == type_
    assert not await provider.inbox()


async def test_a_paused_send_expires_in_time(harness: SendHarness, provider: Simulator) -> None:
    await provider.faults(
        Fault(route="send_text", status=429, headers={"retry-after": "1"}, times=1)
    )
    expires = (datetime.now(UTC) + timedelta(seconds=4)).isoformat()
    started = await harness.start(message="x", expiresAt=expires)
    await until(lambda: _requests(provider, "send_text"))
    await harness.client.workflow_service.pause_activity(
        PauseActivityRequest(
            namespace="default", execution=WorkflowExecution(workflow_id=started.id), id="send"
        )
    )
    state = await get_state(harness.client, started.id, wait=True)
    assert error_type(state) == "Expired"


async def test_a_lookup_that_ends_at_expires_at_is_expired(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    found = {"data": [{"id": 1}]}
    await provider.faults(Fault(route="find_contact", status=200, body=found, delay_ms=1000))
    expires = datetime.now(UTC) + timedelta(seconds=3)
    # The worker, which stops, reports the contact but runs no further workflow task.
    async with worker_on() as first:
        started = await first.start(message="x", expiresAt=expires.isoformat())
        await until(lambda: _requests(provider, "find_contact"))
    assert not await provider.requests("send_text")
    await until(lambda: datetime.now(UTC) > expires)
    async with worker_on(TEMPORAL_TASK_QUEUE=first.task_queue):
        state = await get_state(first.client, started.id, wait=True)
    assert error_type(state) == "Expired"


async def test_an_invalid_number_fails_at_once_even_with_send_at(
    harness: SendHarness,
) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    handle = await harness.client.start_workflow(
        "SendWhatsApp",
        {"to": "call me", "message": "x", "sendAt": tomorrow},
        id=new_phone(),
        task_queue=harness.task_queue,
    )
    state = await get_state(harness.client, handle.id, wait=True)
    assert error_type(state) == "InvalidPhoneNumber"


async def test_a_message_that_expired_before_its_start_makes_no_lookup(
    harness: SendHarness, provider: Simulator
) -> None:
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    state = await harness.send(message="x", expiresAt=past)
    assert error_type(state) == "Expired"
    assert not await provider.requests()


async def _requests(provider: Simulator, route: str) -> bool:
    return bool(await provider.requests(route))
