"""The outcome of a cancel: nothing was sent, it was sent, or nobody can know."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import Client
from temporalio.runtime import Runtime

import worker as worker_module
from send_whatsapp.client.state import Started
from send_whatsapp.settings import WorkerSettings
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import SendHarness, WorkerOn, cancel, new_phone, until
from tests.workflows.conftest import (
    Operator,
    activities_for,
    pending_send,
    waits_for_attempt,
    workflows_only,
)
from tools.relay import Stop, relay

DELIVERIES = ["at_least_once", "at_most_once"]
LATER = {"retry-after": "60"}
CANCEL_REQUESTED = PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED


@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("route", ["find_contact", "create_contact", "list_flows"])
async def test_a_cancel_during_a_lookup_sends_nothing_and_no_fallback(
    harness: SendHarness, provider: Simulator, delivery: str, route: Any
) -> None:
    await provider.faults(Fault(route=route, kind="hang"))
    started = await harness.start(template="visa approved", message="instead", delivery=delivery)
    await until(lambda: _asked(provider, route))
    state = await cancel(harness.client, started.id)
    assert (state.status, state.outcome) == ("Canceled", "cancelled")
    assert not await provider.inbox()


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_a_cancel_before_the_first_attempt_sends_nothing(
    client: Client,
    runtime: Runtime,
    provider: Simulator,
    settings_for: Callable[..., WorkerSettings],
    delivery: str,
) -> None:
    settings, phone = settings_for(), new_phone()
    harness = SendHarness(client, settings)
    async with activities_for(settings, runtime) as activities:
        async with worker_module.build_worker(client, settings, activities):
            await harness.send(to=phone, message="makes the contact known")
        async with workflows_only(client, settings, activities):
            started = await harness.start(to=phone, message="x", delivery=delivery)
            await until(lambda: pending_send(harness, started))
            state = await cancel(client, started.id)
    assert (state.status, state.outcome) == ("Canceled", "cancelled")
    assert len(await provider.inbox(phone)) == 1


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_a_cancel_between_rate_limited_attempts_sends_nothing(
    harness: SendHarness, provider: Simulator, delivery: str
) -> None:
    await provider.faults(Fault(route="send_text", status=429, headers=LATER))
    started = await harness.start(message="x", delivery=delivery)
    await until(lambda: waits_for_attempt(harness, started, 2))
    state = await cancel(harness.client, started.id)
    assert (state.status, state.outcome) == ("Canceled", "cancelled")
    assert not await provider.inbox()


async def test_a_cancel_after_an_ambiguous_attempt_is_unknown(
    harness: SendHarness, provider: Simulator
) -> None:
    phone = new_phone()
    await provider.faults(Fault(route="send_text", status=503, headers=LATER, effect=True))
    started = await harness.start(to=phone, message="x")
    await until(lambda: waits_for_attempt(harness, started, 2))
    state = await cancel(harness.client, started.id)
    assert (state.status, state.outcome) == ("Failed", "unknown")
    assert len(await provider.inbox(phone)) == 1


# How the provider answers a send in flight while its run is cancelled, and how the run ends.
IN_FLIGHT = {
    "accepts it": (None, "Completed", "accepted", 1),
    "refuses it for now": (Fault(route="send_text", status=429), "Canceled", "cancelled", 0),
    "refuses it for good": (Fault(route="send_text", status=400), "Failed", "failed", 0),
    "loses the answer": (Fault(route="send_text", kind="cut", effect=True), "Failed", "unknown", 1),
    "breaks": (Fault(route="send_text", status=500), "Failed", "unknown", 0),
}


@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("provider_does", IN_FLIGHT)
async def test_a_cancel_waits_for_the_answer_of_an_attempt_in_flight(
    worker_on: WorkerOn, provider: Simulator, delivery: str, provider_does: str
) -> None:
    fault, status, outcome, arrived = IN_FLIGHT[provider_does]
    await provider.faults(*[fault] if fault else [])
    phone = new_phone()
    async with relay(provider.url, Stop(b"/send/text", None)) as http:
        url = provider.url.replace(str(http.target_port), str(http.port))
        async with worker_on(CGB_API_URL=url, CGB_TIMEOUT="20000") as harness:
            started = await harness.start(to=phone, message="x", delivery=delivery)
            await until(lambda: http.stopped)
            cancelling = asyncio.create_task(cancel(harness.client, started.id))
            await until(lambda: _is_withdrawn(harness, started))
            http.resume()
            state = await cancelling
    assert (state.status, state.outcome) == (status, outcome)
    assert len(await provider.inbox(phone)) == arrived


@pytest.mark.parametrize("commands", [("pause", "unpause"), ("reset",), ("pause", "reset")])
@pytest.mark.parametrize(("status", "outcome"), [(429, "cancelled"), (503, "unknown")])
async def test_the_record_of_attempts_survives_operator_commands(
    worker_on: WorkerOn,
    provider: Simulator,
    runtime: Runtime,
    operator: Operator,
    commands: tuple[str, ...],
    status: int,
    outcome: str,
) -> None:
    # Unpause and reset make the server forget the last failure, and schedule an attempt at once.
    await provider.faults(Fault(route="send_text", status=status, headers=LATER))
    async with worker_on() as harness:
        started = await harness.start(message="x")
        await until(lambda: waits_for_attempt(harness, started, 2))
    for command in commands:
        await operator(command, started.id)
    settings = harness.settings
    async with (
        activities_for(settings, runtime) as activities,
        workflows_only(harness.client, settings, activities),
    ):
        state = await cancel(harness.client, started.id)
    assert state.outcome == outcome


async def _asked(provider: Simulator, route: str) -> bool:
    return bool(await provider.requests(route))


async def _is_withdrawn(harness: SendHarness, started: Started) -> bool:
    send = await pending_send(harness, started)
    return send is not None and send.state == CANCEL_REQUESTED
