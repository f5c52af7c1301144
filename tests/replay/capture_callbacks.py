"""`make histories`: the histories of messages and batches with callbacks, and of callbacks."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from temporalio.client import WorkflowHandle

from send_whatsapp.client import sends
from send_whatsapp.client.state import get_state
from send_whatsapp.contract import names
from send_whatsapp.contract.batch import Row
from send_whatsapp.contract.parts import BatchInput
from send_whatsapp.contract.request import SendWhatsAppRequest
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import SendHarness, WorkerOn, until
from tests.replay.capture import (
    AT_MOST_ONCE,
    LOST_ANSWER,
    PERSON,
    TEXT,
    in_s,
    keep,
)
from tools.callback_receiver import SECRET, Receiver, running

MESSAGES: dict[str, tuple[dict[str, Any], list[Fault], str]] = {
    "accepted": (TEXT, [], "accepted"),
    "failed": ({"template": "thank_you"}, [], "failed"),
    "unknown": (AT_MOST_ONCE, [LOST_ANSWER], "unknown"),
    "cancelled": (TEXT | {"sendAt": in_s(86400)}, [], "cancelled"),
    "invalid-request": (TEXT | {"canary": 1}, [], "failed"),
}


def declared(folder: Path, receiver: Receiver) -> dict[str, str]:
    (folder / "secret").write_text(SECRET)
    every = {"url": receiver.url, "secret_file": "secret"}
    callbacks = {"shop": every, "picky": every | {"events": ["failed"]}}
    (folder / "callbacks.yaml").write_text(yaml.safe_dump({"callbacks": callbacks}))
    return {"CALLBACKS_FILE": str(folder / "callbacks.yaml"), "CALLBACKS_ALLOW_PRIVATE": "true"}


async def start(harness: SendHarness, callback: str, **fields: Any) -> WorkflowHandle[Any, Any]:
    return await harness.client.start_workflow(
        names.SEND_WORKFLOW,
        {"to": PERSON} | fields,
        id=names.new_workflow_id(),
        task_queue=harness.task_queue,
        memo={"callback": callback},
    )


@pytest.mark.parametrize("name", MESSAGES)
async def test_a_message_with_a_callback(
    worker_on: WorkerOn, provider: Simulator, tmp_path: Path, name: str
) -> None:
    fields, faults, outcome = MESSAGES[name]
    async with (
        running(Receiver()) as receiver,
        worker_on(**declared(tmp_path, receiver)) as harness,
    ):
        await provider.faults(*faults)
        handle = await start(harness, "shop", **fields)
        if outcome == "cancelled":
            await sends.request_cancel(harness.client, await get_state(harness.client, handle.id))
        assert (await get_state(harness.client, handle.id, wait=True)).outcome == outcome
        await keep(harness.client, f"callback-{name}", handle.id)
        await until(lambda: receiver.calls)


@pytest.mark.parametrize("callback", ["picky", "none"])
async def test_a_message_whose_callback_does_not_want_it_or_is_unknown(
    worker_on: WorkerOn, provider: Simulator, tmp_path: Path, callback: str
) -> None:
    async with (
        running(Receiver()) as receiver,
        worker_on(**declared(tmp_path, receiver)) as harness,
    ):
        handle = await start(harness, callback, **TEXT)
        assert (await get_state(harness.client, handle.id, wait=True)).outcome == "accepted"
        await keep(harness.client, f"callback-{callback}", handle.id)


async def test_a_batch_with_a_callback(
    worker_on: WorkerOn, provider: Simulator, tmp_path: Path
) -> None:
    async with (
        running(Receiver()) as receiver,
        worker_on(**declared(tmp_path, receiver)) as harness,
    ):
        request = SendWhatsAppRequest.model_validate({"to": PERSON} | TEXT)
        key = names.new_workflow_id()
        batch = await harness.client.start_workflow(
            names.BATCH_WORKFLOW,
            BatchInput(key=key, rows=[Row(row=2, key="person", request=request)]),
            id=names.batch_id(key),
            task_queue=harness.task_queue,
            memo={"callback": "shop"},
        )
        await batch.result()
        await keep(harness.client, "callback-batch", batch.id)
        await until(lambda: receiver.calls)


@pytest.mark.parametrize(("name", "statuses"), [("delivered", [500, 204]), ("gone", [410])])
async def test_a_callback(
    worker_on: WorkerOn, provider: Simulator, tmp_path: Path, name: str, statuses: list[int]
) -> None:
    async with (
        running(Receiver()) as receiver,
        worker_on(**declared(tmp_path, receiver)) as harness,
    ):
        receiver.answer(*statuses)
        await start(harness, "shop", **TEXT)
        await until(lambda: len(receiver.calls) == len(statuses))
        handle = harness.client.get_workflow_handle(names.callback_id(receiver.calls[0].id))

        async def is_closed() -> bool:
            return (await handle.describe()).close_time is not None

        await until(is_closed)
        await keep(harness.client, f"callback-{name}", handle.id)
