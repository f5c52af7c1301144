"""What never reached the provider counts as unsent, under `at_most_once` too: real sockets."""

from collections.abc import Callable

import httpx
import pytest
from temporalio.client import Client
from temporalio.runtime import Runtime

import worker as worker_module
from settings import WorkerSettings
from simulator.process import Simulator
from starters import client as sends
from tests.conftest import Bench, new_phone, until
from tests.server.conftest import activities_for, waits_for_attempt
from tools.dev_server import free_port

NO_PLACE = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=0))

# Ways not to reach the provider: address by the simulator's port, and a transport of its own.
UNREACHABLE: dict[str, tuple[Callable[[int], str], httpx.AsyncBaseTransport | None]] = {
    "connection refused": (lambda _: f"http://127.0.0.1:{free_port()}/api", None),
    "no such name": (lambda _: "http://provider.invalid/api", None),
    "no TLS": (lambda port: f"https://127.0.0.1:{port}/api", None),
    "no free place in the pool": (lambda port: f"http://127.0.0.1:{port}/api", NO_PLACE),
}


@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
@pytest.mark.parametrize("way", UNREACHABLE)
async def test_a_send_that_never_left_is_tried_again(
    client: Client,
    runtime: Runtime,
    provider: Simulator,
    settings_for: Callable[..., WorkerSettings],
    way: str,
    delivery: str,
) -> None:
    address, transport = UNREACHABLE[way]
    settings, phone = settings_for(), new_phone()
    port = httpx.URL(provider.url).port or 0
    async with (
        activities_for(settings, runtime) as well,
        activities_for(settings, runtime, address(port), transport=transport) as ill,
    ):
        lookups = [a for a in well if not a.__name__.startswith("send_")]
        lost = [a for a in ill if a.__name__.startswith("send_")]
        bench = Bench(client, settings)
        async with worker_module.build_worker(client, settings, [*lookups, *lost]):
            started = await bench.start(to=phone, message="x", delivery=delivery)
            await until(lambda: waits_for_attempt(bench, started, 2))
        async with worker_module.build_worker(client, settings, well):
            state = await sends.get_state(client, started.id, wait=True)
    assert state.outcome == "accepted"
    assert len(await provider.inbox(phone)) == 1
