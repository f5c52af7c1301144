"""Turns of rows: many in one update, in file order for each person; a paused row holds none."""

import json
import uuid
from itertools import pairwise
from typing import Any

import pytest
from temporalio.api.sdk.v1 import WorkflowMetadata

from send_whatsapp.client import batches
from send_whatsapp.contract.batch import Row
from send_whatsapp.contract.names import batch_id
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.contract.turns import keeper_id
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import WorkerOn, cancel, new_phone, run_command, until
from tests.workflows.conftest import Batch
from tools.dev_server import DevServer

pytestmark = pytest.mark.timeout(300)


def row(number: int, phone: str, **fields: Any) -> Row:
    content = {"template": "visa_approved", "variables": {"name": f"row {number}"}}
    request = SendWhatsAppRequest.model_validate({"to": phone, **content, **fields})
    return Row(row=number, key=f"k{number}-{uuid.uuid4()}", request=request)


def words(number: int) -> str:
    return f"Dear row {number}, your visa is approved."


async def test_rows_for_one_person_go_out_in_file_order_and_hold_up_nobody(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    await provider.render_after(700)
    person = new_phone()
    rows = [row(n, person if n % 10 == 0 else new_phone()) for n in range(2, 102)]
    async with worker_on(CGB_TIMEOUT="10000") as harness:
        batch = Batch(harness, rows)
        # Fewer rows in flight than rows for the one person.
        await batch.start(in_flight=5)
        assert set(await batch.outcomes(120)) == {"accepted"}
        await until(lambda: arrived(provider, 100))
    found = await provider.inbox()
    assert len({message["text"] for message in found}) == len(found)
    by_person = [message for message in found if message["phone"] == person]
    assert [m["text"] for m in by_person] == [words(n) for n in range(10, 102, 10)]
    # The times of the requests: those of the rendering depend on how busy the simulator is.
    names = {f"row {n}" for n in range(10, 102, 10)}
    seen = await provider.requests("send_content")
    calls = [call for call in seen if call["body"]["actions"][0]["value"] in names]
    assert len(calls) == len(by_person)
    assert min(b["at"] - a["at"] for a, b in pairwise(calls)) >= 2
    others = [message["at"] for message in found if message["phone"] != person]
    assert max(others) < by_person[-1]["at"]
    assert {message["text"] for message in found} == {words(n) for n in range(2, 102)}


async def test_the_status_says_how_many_rows_wait_for_their_turn(
    worker_on: WorkerOn, provider: Simulator, server: DevServer
) -> None:
    person = new_phone()
    limited = Fault(route="send_text", status=429, headers={"retry-after": "200"}, times=1)
    await provider.faults(limited)
    async with worker_on(CGB_RETRY_FOR="600", CGB_RECIPIENT_GAP="300") as harness:
        first = await harness.start(to=person, message="one", inOrder=True)
        await until(lambda: has_called(provider))
        batch = Batch(harness, [*(row(n, person) for n in range(2, 5)), row(5, new_phone())])
        await batch.start()

        async def waiting() -> bool:
            status = await batches.get_status(harness.client, batch.key)
            return (status.in_queue, status.counts.accepted) == (3, 1)

        await until(waiting)
        handle = harness.client.get_workflow_handle(batch_id(batch.key))
        metadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
        assert metadata.current_details.endswith(". 3 of them wait for their turn")
        shown = await run_command(
            *("batch", "status", batch.key),
            address=server.address,
            task_queue=harness.task_queue,
        )
        assert "3 rows wait for their turn." in shown.out
        assert (await cancel(harness.client, first.id)).outcome == "cancelled"
        assert await batch.outcomes(120) == ["accepted"] * 4
        assert (await batches.get_status(harness.client, batch.key)).in_queue == 0


async def test_a_row_that_is_retried_keeps_its_turn(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    person = new_phone()
    await provider.faults(
        Fault(route="send_content", status=429, headers={"retry-after": "4"}, times=1)
    )
    async with worker_on(
        CGB_TIMEOUT="5000", CGB_RETRY_FOR="60", CGB_RECIPIENT_GAP="500"
    ) as harness:
        batch = Batch(harness, [row(2, person), row(3, person)])
        await batch.start()
        assert await batch.outcomes() == ["accepted"] * 2
    assert [m["text"] for m in await provider.inbox(person)] == [words(2), words(3)]


async def test_a_paused_batch_holds_no_turn_that_others_wait_for(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    person = new_phone()
    async with worker_on(CGB_TIMEOUT="5000", CGB_RECIPIENT_GAP="3000") as harness:
        batch = Batch(harness, [row(n, person) for n in range(2, 6)])
        await batch.start()
        await until(lambda: arrived(provider, 1))
        await batches.pause(harness.client, batch.key)
        single = await harness.send(to=person, message="between", inOrder=True)
        assert single.outcome == "accepted"
        texts = [m["text"] for m in await provider.inbox(person)]
        assert texts[0] == words(2)
        assert texts[-1] == "between"
        assert len(texts) <= 3
        await batches.resume(harness.client, batch.key)
        assert await batch.outcomes(120) == ["accepted"] * 4
    texts = [m["text"] for m in await provider.inbox(person)]
    assert [text for text in texts if text != "between"] == [words(n) for n in range(2, 6)]


async def test_a_cancelled_batch_sends_no_row_that_waits_for_its_turn(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    person = new_phone()
    async with worker_on(CGB_TIMEOUT="5000", CGB_RECIPIENT_GAP="3000") as harness:
        batch = Batch(harness, [row(n, person) for n in range(2, 6)])
        await batch.start()
        await until(lambda: arrived(provider, 1))
        await batches.cancel(harness.client, batch.key)
        outcomes = await batch.outcomes()
    assert outcomes[0] == "accepted"
    assert outcomes[2:] == ["cancelled"] * 2
    assert len(await provider.inbox(person)) == outcomes.count("accepted")


async def arrived(provider: Simulator, count: int) -> bool:
    return len(await provider.inbox()) >= count


async def test_a_row_with_a_wrong_number_fails_alone(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    async with worker_on(CGB_TIMEOUT="5000") as harness:
        batch = Batch(harness, [row(2, "+0"), row(3, new_phone())])
        await batch.start()
        assert await batch.outcomes() == ["failed", "accepted"]


async def has_called(provider: Simulator) -> bool:
    return bool(await provider.requests("send_text"))


async def test_a_batch_tells_the_keeper_its_last_turns_though_nothing_else_is_sent(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    rows = [row(n, new_phone()) for n in range(2, 32)]
    async with worker_on() as harness:
        batch = Batch(harness, rows)
        await batch.start()
        assert set(await batch.outcomes()) == {"accepted"}
        keeper = harness.client.get_workflow_handle(keeper_id(harness.task_queue))

        async def all_told() -> bool:
            history = await keeper.fetch_history()
            found = [
                json.loads(
                    event.workflow_execution_update_accepted_event_attributes.accepted_request.input.args.payloads[
                        0
                    ].data
                )
                for event in history.events
                if event.HasField("workflow_execution_update_accepted_event_attributes")
            ]
            return sum(len(take["ended"]) for take in found) == len(rows)

        await until(all_told)
