"""Callbacks while workers are killed: every event arrives, under one id.

200 messages, so that the test takes a minute; `make callback-proof` sends 1,000.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from temporalio.client import Client

from send_whatsapp.contract import names
from send_whatsapp.settings import WorkerSettings
from simulator.process import Simulator
from tests.callbacks.conftest import FileOf
from tests.callbacks.test_delivery import an_event
from tests.conftest import ProcessOn, until
from tools.callback_proof import prove
from tools.callback_receiver import Receiver
from tools.dev_server import DevServer
from tools.fault_injector import worker_environment

pytestmark = pytest.mark.timeout(420)


async def test_no_event_is_missing_although_workers_are_killed(
    client: Client,
    server: DevServer,
    provider: Simulator,
    settings_for: Callable[..., WorkerSettings],
    tmp_path: Path,
) -> None:
    environment = worker_environment(
        TEMPORAL_ADDRESS=server.address,
        TEMPORAL_TASK_QUEUE=settings_for().task_queue,
        CGB_API_URL=provider.url,
        CGB_API_KEY=provider.key,
        CGB_TIMEOUT="2000",
    )
    proof = await prove(client, tmp_path, environment, messages=200)
    assert proof.kills >= 2
    assert proof.calls > proof.messages
    assert proof.holds, proof


async def test_an_attempt_that_is_lost_with_its_worker_counts_as_a_failed_one(
    client: Client,
    provider: Simulator,
    settings_for: Callable[..., WorkerSettings],
    worker_process: ProcessOn,
    receiver: Receiver,
    file_of: FileOf,
) -> None:
    settings = settings_for(**file_of(shop=receiver.url))
    receiver.delay_s = 60
    event = an_event()
    with worker_process(settings) as first:
        handle = await client.start_workflow(
            names.CALLBACK_WORKFLOW,
            event,
            id=event.workflow_id,
            task_queue=names.callback_task_queue(settings.task_queue),
        )
        await until(lambda: receiver.calls, 60)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    receiver.delay_s = 0
    with worker_process(settings):
        assert await handle.result() == 200
    [lost, delivered] = receiver.calls
    assert lost.id == delivered.id == event.id
    # 15 s until the server knows that the attempt is lost, then the 5 s after a first failure.
    assert 20 <= delivered.at - lost.at < 60
