"""Turns: one message at a time to one person, in the order in which they were asked for."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from temporalio.client import Client

from send_whatsapp.client.state import get_state
from send_whatsapp.settings import WorkerSettings
from simulator.process import Simulator
from tests.conftest import ProcessOn, SendHarness, new_phone, until
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
    times = [message["at"] for message in found]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert min(gaps) >= GAP_S
