"""A defect beside the main coroutine fails the workflow task, which is then tried again."""

from typing import Any

import pytest
from temporalio.client import WorkflowHandle

from send_whatsapp.client.state import get_state
from send_whatsapp.contract.names import batch_id, part_id
from send_whatsapp.contract.turns import keeper_id
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import WorkerOn, new_phone, until
from tests.workflows.conftest import Batch
from tests.workflows.test_turns_of_rows import row
from workflows import row_turns, turn_keeper, turns

pytestmark = pytest.mark.timeout(120)


class Defect(Exception):
    """What our code should not raise."""


async def failures(run: WorkflowHandle[Any, Any]) -> list[str]:
    """Return the messages with which workflow tasks of a run have failed."""
    return [
        event.workflow_task_failed_event_attributes.failure.message
        for event in (await run.fetch_history()).events
        if event.HasField("workflow_task_failed_event_attributes")
    ]


@pytest.mark.parametrize("broken_call", [1, 2])
async def test_a_part_does_not_wait_for_a_coroutine_that_has_failed(
    worker_on: WorkerOn, provider: Simulator, monkeypatch: pytest.MonkeyPatch, broken_call: int
) -> None:
    calls = 0

    async def ask(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == broken_call:
            raise Defect("in a question for turns")
        await turns.ask(*arguments)

    # The first question is that of the part, the next one follows the end of the first row.
    monkeypatch.setattr(row_turns, "ask", ask)
    person = new_phone()
    async with worker_on(CGB_TIMEOUT="5000", CGB_RECIPIENT_GAP="300") as harness:
        batch = Batch(harness, [row(2, person), row(3, person)])
        await batch.start()
        assert await batch.outcomes(60) == ["accepted"] * 2
        part = harness.client.get_workflow_handle(part_id(batch_id(batch.key), 1, 0))
        assert await failures(part) == ["in a question for turns"]
    assert len(await provider.inbox(person)) == 2


async def test_the_keeper_does_not_wait_for_a_coroutine_that_has_failed(
    worker_on: WorkerOn, provider: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver, is_broken = turn_keeper.TurnKeeper._deliver, True

    async def breaks_once(*arguments: Any) -> None:
        nonlocal is_broken
        if is_broken:
            is_broken = False
            raise Defect("in a message to a send")
        await deliver(*arguments)

    monkeypatch.setattr(turn_keeper.TurnKeeper, "_deliver", breaks_once)
    await provider.faults(Fault(route="send_text", kind="hold", times=1))
    phone = new_phone()
    async with worker_on(CGB_TIMEOUT="60000", CGB_RECIPIENT_GAP="300") as harness:
        await harness.start(to=phone, message="one", inOrder=True)
        await until(lambda: has_called(provider))
        second = await harness.start(to=phone, message="two", inOrder=True)
        keeper = harness.client.get_workflow_handle(keeper_id(harness.task_queue))
        await until(lambda: failures(keeper))
        await provider.faults()
        state = await get_state(harness.client, second.id, run_id=second.run_id, wait=True)
        assert state.outcome == "accepted"
        assert await failures(keeper) == ["in a message to a send"]
    assert [m["text"] for m in await provider.inbox(phone)] == ["one", "two"]


async def has_called(provider: Simulator) -> bool:
    return bool(await provider.requests("send_text"))
