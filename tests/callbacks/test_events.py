"""What a receiver hears: one event for each message and batch that names a callback."""

import uuid
from typing import Any

import jsonschema
import pytest
from temporalio.api.enums.v1 import EventType

from send_whatsapp.client import batches, resending, sends
from send_whatsapp.client.state import get_state
from send_whatsapp.contract import names
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.gateway.openapi.events import event_webhooks
from send_whatsapp.gateway.openapi.schemas import REFERENCE, component_schemas
from simulator.faults import Fault
from simulator.process import Simulator
from tests.callbacks.conftest import FileOf
from tests.conftest import SendHarness, WorkerOn, new_phone, until
from tests.workflows.conftest import rows
from tools.callback_receiver import Receiver
from workflows import send_batch

SCHEMAS = component_schemas()
NOT_FOUND = {"template": "none", "message": None}


async def start(harness: SendHarness, callback: str | None = "shop", **fields: Any) -> str:
    request = SendWhatsAppRequest.model_validate({"to": new_phone(), "message": "x"} | fields)
    key = f"order-{uuid.uuid4()}"
    await sends.start_send(
        harness.client, request, key=key, callback=callback, task_queue=harness.task_queue
    )
    return key


def is_documented(event: Any) -> None:
    """Check that an event is as the OpenAPI document says."""
    operation = event_webhooks(REFERENCE)["callback"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    document = schema | {"components": {"schemas": SCHEMAS}}
    jsonschema.Draft202012Validator(document).validate(event)


async def end(harness: SendHarness, key: str) -> str:
    return (await get_state(harness.client, key, wait=True)).outcome


OUTCOMES: dict[str, tuple[dict[str, Any], list[Fault]]] = {
    "accepted": ({}, []),
    "failed": (NOT_FOUND, []),
    "unknown": (
        {"delivery": "at_most_once"},
        [Fault(route="send_text", kind="cut", effect=True, times=1)],
    ),
    "cancelled": ({"sendAt": "2199-01-01T00:00:00Z"}, []),
}


@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_a_receiver_hears_the_outcome_of_a_message(
    worker_on: WorkerOn, provider: Simulator, receiver: Receiver, file_of: FileOf, outcome: str
) -> None:
    fields, faults = OUTCOMES[outcome]
    async with worker_on(**file_of(shop=receiver.url)) as harness:
        await provider.faults(*faults)
        key = await start(harness, **fields)
        state = await get_state(harness.client, key)
        if outcome == "cancelled":
            await sends.request_cancel(harness.client, state)
        state = await get_state(harness.client, key, run_id=state.run_id, wait=True)
        assert state.outcome == outcome
        assert state.result
        await until(lambda: receiver.calls)
        [call] = receiver.calls
        event = call.event
        is_documented(event)
        assert event.pop("timestamp").endswith("Z")
        assert event == {
            "type": f"message.{outcome}",
            "data": {
                "id": key,
                "runId": state.run_id,
                "key": key,
                "status": outcome,
                "result": state.result.model_dump(mode="json", by_alias=True),
            },
        }
        assert call.id == f"{state.run_id}-{outcome}"
        assert call.headers["content-type"] == "application/json"
        handle = harness.client.get_workflow_handle(names.callback_id(call.id))
        assert await handle.result() == 200
        assert (await handle.describe()).workflow_type == "SendWhatsAppCallback"


async def test_a_message_without_a_key_has_none_in_its_event(
    worker_on: WorkerOn, receiver: Receiver, file_of: FileOf
) -> None:
    async with worker_on(**file_of(shop=receiver.url)) as harness:
        request = SendWhatsAppRequest(to=new_phone(), message="x")
        started = await sends.start_send(
            harness.client, request, callback="shop", task_queue=harness.task_queue
        )
        await until(lambda: receiver.calls)
        data = receiver.calls[0].event["data"]
        assert (data["id"], data["key"]) == (started.id, None)


async def test_a_batch_tells_its_counts_and_its_rows_tell_nothing(
    worker_on: WorkerOn, provider: Simulator, receiver: Receiver, file_of: FileOf
) -> None:
    async with worker_on(**file_of(shop=receiver.url)) as harness:
        key = f"batch-{uuid.uuid4()}"
        good, bad = rows(3), rows(4)[3:]
        bad = [row.model_copy(update={"request": _template_only(row.request)}) for row in bad]
        await batches.start(
            harness.client, key, [*good, *bad], [], callback="shop", task_queue=harness.task_queue
        )
        await until(lambda: receiver.calls)
        handle = harness.client.get_workflow_handle(names.batch_id(key))
        await handle.result()
        [call] = receiver.calls
        is_documented(call.event)
        assert call.event["type"] == "batch.completed"
        assert call.event["data"] == {
            "id": f"batch-{key}",
            "runId": (await handle.describe()).run_id,
            "key": key,
            "status": "failed",
            "counts": {
                "accepted": 3,
                "failed": 1,
                "unknown": 0,
                "cancelled": 0,
                "running": 0,
                "total": 4,
            },
        }


def _template_only(request: SendWhatsAppRequest) -> SendWhatsAppRequest:
    return SendWhatsAppRequest(to=request.to, template="none")


async def test_a_batch_that_continues_as_new_tells_its_end_once(
    worker_on: WorkerOn,
    receiver: Receiver,
    file_of: FileOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(send_batch, "STEPS_PER_RUN", 1)
    async with worker_on(**file_of(shop=receiver.url)) as harness:
        key = str(uuid.uuid4())
        limits = batches.BatchLimits(per_minute=60)
        queue = harness.task_queue
        await batches.start(
            harness.client, key, rows(4), [], callback="shop", limits=limits, task_queue=queue
        )
        handle = harness.client.get_workflow_handle(names.batch_id(key))
        first = (await handle.describe()).run_id

        async def has_continued() -> bool:
            await batches.set_rate(harness.client, key, 120)
            return (await handle.describe()).run_id != first

        await until(has_continued)
        assert (await batches.set_rate(harness.client, key, None)).counts.ended < 4
        await until(lambda: receiver.calls)
        assert (await batches.get_status(harness.client, key)).counts.accepted == 4
    [call] = receiver.calls
    assert call.event["data"]["runId"] != first


async def test_a_batch_keeps_its_callback_when_it_starts_again(
    worker_on: WorkerOn, provider: Simulator, receiver: Receiver, file_of: FileOf
) -> None:
    async with worker_on(**file_of(shop=receiver.url)) as harness:
        key = f"{uuid.uuid4()}"
        [row] = rows(1)
        bad = row.model_copy(update={"request": _template_only(row.request)})
        for number, (sent, callback) in enumerate([(bad, "shop"), (row, None)], start=1):
            await batches.start(
                harness.client, key, [sent], [], callback=callback, task_queue=harness.task_queue
            )
            await until(lambda number=number: len(receiver.calls) == number)  # type: ignore[misc]
        assert [call.event["data"]["status"] for call in receiver.calls] == ["failed", "accepted"]
        assert len(receiver.by_id) == 2


async def test_a_message_that_is_sent_again_keeps_its_callback(
    worker_on: WorkerOn, provider: Simulator, receiver: Receiver, file_of: FileOf
) -> None:
    async with worker_on(**file_of(shop=receiver.url)) as harness:
        key = await start(harness, **NOT_FOUND)
        assert await end(harness, key) == "failed"
        queue = harness.task_queue
        await resending.start_again(harness.client, key, task_queue=queue)
        assert await end(harness, key) == "failed"
        again = await resending.resend(harness.client, key, task_queue=queue)
        await until(lambda: len(receiver.calls) == 3)
        assert len(receiver.by_id) == 3
        assert {call.event["data"]["id"] for call in receiver.calls} == {key, again.id}


async def test_only_the_events_that_the_file_lists_are_delivered(
    worker_on: WorkerOn, provider: Simulator, receiver: Receiver, file_of: FileOf
) -> None:
    async with worker_on(**file_of(["failed", "unknown"], shop=receiver.url)) as harness:
        accepted = await start(harness)
        assert await end(harness, accepted) == "accepted"
        failed = await start(harness, **NOT_FOUND)
        await until(lambda: receiver.calls)
        assert [call.event["data"]["id"] for call in receiver.calls] == [failed]
        events = await event_types(harness, accepted)
        assert EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED not in events


async def event_types(harness: SendHarness, key: str) -> list[int]:
    handle = harness.client.get_workflow_handle(key)
    return [event.event_type async for event in handle.fetch_history_events()]


async def test_a_message_without_a_callback_costs_no_event(
    worker_on: WorkerOn, receiver: Receiver, file_of: FileOf
) -> None:
    async with worker_on() as harness:
        without_file = await start(harness, callback=None)
        assert await end(harness, without_file) == "accepted"
    async with worker_on(**file_of(shop=receiver.url)) as harness:
        with_file = await start(harness, callback=None)
        assert await end(harness, with_file) == "accepted"
    events = [await event_types(harness, key) for key in (without_file, with_file)]
    assert events[0] == events[1]
    # The one marker is the local activity that prepares the send.
    assert events[0].count(EventType.EVENT_TYPE_MARKER_RECORDED) == 1
    assert EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED not in events[0]


@pytest.mark.parametrize("memo", ["crm", "", "x" * 2000, 7, None, ["shop"], {"name": "shop"}])
async def test_an_unknown_callback_changes_nothing_and_is_logged_with_the_run_id(
    worker_on: WorkerOn,
    receiver: Receiver,
    file_of: FileOf,
    memo: object,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with worker_on(**file_of(shop=receiver.url)) as harness:
        handle = await harness.client.start_workflow(
            names.SEND_WORKFLOW,
            {"to": new_phone(), "message": "x"},
            id=names.new_workflow_id(),
            task_queue=harness.task_queue,
            memo={"callback": memo},
        )
        assert await end(harness, handle.id) == "accepted"
    warnings = [r for r in caplog.records if "does not declare the callback" in r.message]
    assert len(warnings) == (0 if memo is None else 1)
    for record in warnings:
        info = vars(record)["temporal_activity"]
        assert info["workflow_run_id"] == handle.result_run_id
    assert receiver.calls == []


async def test_a_run_whose_input_is_no_request_tells_that_it_failed(
    worker_on: WorkerOn, receiver: Receiver, file_of: FileOf
) -> None:
    async with worker_on(**file_of(shop=receiver.url)) as harness:
        handle = await harness.client.start_workflow(
            names.SEND_WORKFLOW,
            {"message": "x"},
            id=names.new_workflow_id(),
            task_queue=harness.task_queue,
            memo={"callback": "shop"},
        )
        await until(lambda: receiver.calls)
        data = receiver.calls[0].event["data"]
        assert data["runId"] == handle.result_run_id
        assert data["result"]["error"]["type"] == "InvalidRequest"
        assert await end(harness, handle.id) == "failed"


async def test_a_receiver_that_hangs_holds_up_no_message(
    worker_on: WorkerOn, provider: Simulator, receiver: Receiver, file_of: FileOf
) -> None:
    receiver.delay_s = 600
    async with worker_on(**file_of(shop=receiver.url)) as harness:
        keys = [await start(harness) for _ in range(20)]
        assert [await end(harness, key) for key in keys] == ["accepted"] * 20
        await until(lambda: receiver.calls)
        handle = harness.client.get_workflow_handle(names.callback_id(receiver.calls[0].id))
        pending = (await handle.describe()).raw_description.pending_activities
        assert [activity.activity_type.name for activity in pending] == ["deliver_event"]


async def test_a_cancellation_after_the_outcome_changes_nothing(
    worker_on: WorkerOn, provider: Simulator, receiver: Receiver, file_of: FileOf
) -> None:
    """Cancel at the moments between the provider's answer and the end of the run."""
    async with worker_on(**file_of(shop=receiver.url)) as harness:
        keys = [await start(harness) for _ in range(15)]
        for key in keys:
            await until(lambda key=key: _was_sent(harness, key))  # type: ignore[misc]
            await harness.client.get_workflow_handle(key).cancel()
        ends = {key: await end(harness, key) for key in keys}
        await until(lambda: len(receiver.by_id) == len(keys))
        told = {call.event["data"]["id"]: call.event["data"]["status"] for call in receiver.calls}
        assert told == ends


async def _was_sent(harness: SendHarness, key: str) -> bool:
    return EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED in await event_types(harness, key)
