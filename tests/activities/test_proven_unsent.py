"""A send that never reached the provider is proven unsent, on real sockets."""

import asyncio
from collections.abc import Callable

import httpx
import pytest
from temporalio.client import Client
from temporalio.runtime import Runtime

import worker as worker_module
from send_whatsapp.cgb import transport
from send_whatsapp.cgb.client import Budget, CGBClient
from send_whatsapp.client.state import get_state
from send_whatsapp.settings import WorkerSettings
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import SendHarness, new_phone, until
from tests.workflows.conftest import activities_for, activities_on, waits_for_attempt
from tools.dev_server import free_port

# Ways not to reach the provider: its address by the simulator's port.
UNREACHABLE: dict[str, Callable[[int], str]] = {
    "connection refused": lambda _: f"http://127.0.0.1:{free_port()}/api",
    "no such name": lambda _: "http://provider.invalid/api",
    "no TLS": lambda port: f"https://127.0.0.1:{port}/api",
    "no free connection": lambda port: f"http://127.0.0.1:{port}/api",
}


@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
@pytest.mark.parametrize("way", UNREACHABLE)
async def test_a_send_that_never_left_is_retried(
    client: Client,
    runtime: Runtime,
    provider: Simulator,
    settings_for: Callable[..., WorkerSettings],
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    delivery: str,
) -> None:
    settings, phone = settings_for(), new_phone()
    url = UNREACHABLE[way](httpx.URL(provider.url).port or 0)
    if way == "no free connection":
        monkeypatch.setattr(transport, "CONNECTIONS", 1)
        await provider.faults(Fault(route="account", kind="hang"))
    async with (
        activities_for(settings, runtime) as well,
        CGBClient(url, settings.api_key.get_secret_value()) as unreachable,
    ):
        ill = activities_on(unreachable, settings, runtime)
        lookups = [a for a in well if not a.__name__.startswith("send_")]
        lost = [a for a in ill if a.__name__.startswith("send_")]
        harness = SendHarness(client, settings)
        # Takes the only connection, where there is only one and it can be had.
        busy = asyncio.create_task(unreachable.account(Budget.of(60, "test")))
        async with worker_module.build_worker(client, settings, [*lookups, *lost]):
            started = await harness.start(to=phone, message="x", delivery=delivery)
            await until(lambda: waits_for_attempt(harness, started, 2))
        busy.cancel()
        await asyncio.wait([busy])
        async with worker_module.build_worker(client, settings, well):
            state = await get_state(client, started.id, wait=True)
    assert state.outcome == "accepted"
    assert len(await provider.inbox(phone)) == 1
