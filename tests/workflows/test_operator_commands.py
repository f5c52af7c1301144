"""Pause, unpause and reset of a send with the Temporal CLI keep the delivery guarantees."""

from collections.abc import Callable

import pytest
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import Client
from temporalio.runtime import Runtime

import worker as worker_module
from send_whatsapp.client.state import Started, get_state
from send_whatsapp.settings import WorkerSettings
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import SendHarness, WorkerOn, new_phone, until
from tests.workflows.conftest import (
    Operator,
    activities_for,
    pending_send,
    waits_for_attempt,
    workflows_only,
)
from tools.relay import Stop, relay

DELIVERIES = ["at_least_once", "at_most_once"]
PAUSED = PendingActivityState.PENDING_ACTIVITY_STATE_PAUSED

# Operator commands for a send that waits between two attempts.
COMMANDS: dict[str, list[list[str]]] = {
    "pause, unpause": [["pause"], ["unpause"]],
    "reset": [["reset"]],
    "reset with heartbeats": [["reset", "--reset-heartbeats"]],
    "reset while paused": [["pause"], ["reset"]],
    "reset and still paused": [["pause"], ["reset", "--keep-paused"], ["unpause"]],
}


@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("commands", COMMANDS)
async def test_commands_between_two_attempts(
    harness: SendHarness, provider: Simulator, operator: Operator, delivery: str, commands: str
) -> None:
    phone = new_phone()
    later = {"retry-after": "60"}
    await provider.faults(Fault(route="send_text", status=429, headers=later, times=1))
    started = await harness.start(to=phone, message="x", delivery=delivery)
    await until(lambda: waits_for_attempt(harness, started, 2))
    for command, *flags in COMMANDS[commands]:
        await operator(command, started.id, *flags)
    # Unpause and reset do not wait for the provider's Retry-After.
    state = await get_state(harness.client, started.id, wait=True)
    assert state.outcome == "accepted"
    assert len(await provider.inbox(phone)) == 1


@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize(("command", "flags"), [("pause", ()), ("reset", ("--reset-heartbeats",))])
async def test_an_attempt_in_flight_continues(
    worker_on: WorkerOn,
    provider: Simulator,
    operator: Operator,
    delivery: str,
    command: str,
    flags: tuple[str, ...],
) -> None:
    phone = new_phone()
    async with relay(provider.url, Stop(b"/send/text", None)) as http:
        url = provider.url.replace(str(http.target_port), str(http.port))
        async with worker_on(CGB_API_URL=url, CGB_TIMEOUT="20000") as harness:
            started = await harness.start(to=phone, message="x", delivery=delivery)
            await until(lambda: http.stopped)
            await operator(command, started.id, *flags)
            http.resume()
            state = await get_state(harness.client, started.id, wait=True)
    assert state.outcome == "accepted"
    assert len(await provider.inbox(phone)) == 1


@pytest.mark.parametrize(
    ("delivery", "command"),
    [
        ("at_most_once", []),  # it ends there and then, whatever an operator wants
        ("at_least_once", ["unpause"]),
        ("at_least_once", ["reset"]),
        ("at_least_once", ["reset", "--reset-heartbeats"]),
    ],
)
async def test_a_send_paused_in_flight_that_becomes_ambiguous(
    worker_on: WorkerOn,
    provider: Simulator,
    operator: Operator,
    delivery: str,
    command: list[str],
) -> None:
    phone = new_phone()
    await provider.faults(Fault(route="send_text", kind="cut", effect=True, times=1))
    async with relay(provider.url, Stop(b"/send/text", None)) as http:
        url = provider.url.replace(str(http.target_port), str(http.port))
        async with worker_on(CGB_API_URL=url, CGB_TIMEOUT="20000") as harness:
            started = await harness.start(to=phone, message="x", delivery=delivery)
            await until(lambda: http.stopped)
            await operator("pause", started.id)
            http.resume()
            if command:
                await until(lambda: _is_paused(harness, started))
                await operator(command[0], started.id, *command[1:])
            state = await get_state(harness.client, started.id, wait=True)
    outcome, arrived = ("unknown", 1) if delivery == "at_most_once" else ("accepted", 2)
    assert state.outcome == outcome
    assert len(await provider.inbox(phone)) == arrived


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_a_send_paused_before_its_first_attempt_goes_out_once(
    client: Client,
    runtime: Runtime,
    provider: Simulator,
    settings_for: Callable[..., WorkerSettings],
    operator: Operator,
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
        await operator("pause", started.id)
        await operator("unpause", started.id)
        async with worker_module.build_worker(client, settings, activities):
            state = await get_state(client, started.id, wait=True)
    assert state.outcome == "accepted"
    assert len(await provider.inbox(phone)) == 2


async def _is_paused(harness: SendHarness, started: Started) -> bool:
    send = await pending_send(harness, started)
    return send is not None and send.state == PAUSED
