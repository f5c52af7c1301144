"""What batches promise if something ends from outside: no row is lost, doubled or misreported."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError

from bench.batch_proof import prove
from send_whatsapp.client import batches
from send_whatsapp.contract.batch import BatchRequest
from send_whatsapp.contract.names import batch_id
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import SendHarness, WorkerOn, new_phone, until
from tests.workflows.conftest import Batch, rows, until_arrived, until_sent

RETRY_AFTER_A_MINUTE = Fault(route="send_text", status=429, headers={"retry-after": "60"})


async def until_retrying(batch: Batch, count: int) -> None:
    """Wait until so many sends of the first part wait for their next attempt."""

    async def are_waiting() -> bool:
        pending = (await batch.part.describe()).raw_description.pending_activities
        return sum(activity.attempt > 1 for activity in pending) >= count

    await until(are_waiting)


async def test_the_rows_of_a_terminated_part_follow_from_its_history(
    harness: SendHarness, provider: Simulator
) -> None:
    batch = Batch(harness, rows(40))
    await provider.faults(Fault(route="send_text", kind="hang", skip=5))
    await batch.start(in_flight=25)
    await until_sent(provider, 15)
    await batch.part.terminate()
    report = await batch.report()
    outcomes = [row.outcome for row in report]
    sent = {message["phone"] for message in await provider.inbox()}
    assert {row.to for row in report if row.outcome == "accepted"} <= sent
    assert 10 <= outcomes.count("unknown") <= 25
    assert outcomes.count("cancelled") > 0
    assert {row.error_type for row in report if row.outcome == "unknown"} == {"DeliveryUnknown"}


async def test_a_terminated_batch_stops_and_its_key_sends_the_rest(
    harness: SendHarness, provider: Simulator
) -> None:
    batch = Batch(harness, rows(60))
    await provider.faults(RETRY_AFTER_A_MINUTE.model_copy(update={"skip": 30}))
    await batch.start(in_flight=20)
    await until_arrived(provider, 30)
    await batch.handle.terminate()
    await provider.faults()
    await batch.start()
    assert set(await batch.outcomes()) == {"accepted"}
    phones = [message["phone"] for message in await provider.inbox()]
    assert sorted(phones) == sorted(row.request.to for row in batch.rows)


async def test_a_batch_cancelled_in_the_web_ui_reports_what_was_not_sent(
    harness: SendHarness, provider: Simulator
) -> None:
    batch = Batch(harness, rows(30))
    await provider.faults(RETRY_AFTER_A_MINUTE.model_copy(update={"skip": 10}))
    await batch.start()
    await until_retrying(batch, 20)
    await batch.handle.cancel()
    outcomes = await batch.outcomes()
    assert (outcomes.count("accepted"), outcomes.count("cancelled")) == (10, 20)


async def test_a_batch_that_starts_later_sends_nothing_before(
    harness: SendHarness, provider: Simulator
) -> None:
    batch = Batch(harness, rows(5))
    start = datetime.now(UTC) + timedelta(seconds=4)
    await batch.start(send_at=start)
    await until(lambda: waits_until(batch, start))
    assert set(await batch.outcomes()) == {"accepted"}
    first = min(request["at"] for request in await provider.requests())
    assert first >= start.timestamp()


async def test_a_batch_that_is_cancelled_before_its_start_sends_nothing(
    harness: SendHarness, provider: Simulator
) -> None:
    batch = Batch(harness, rows(5))
    start = datetime.now(UTC) + timedelta(days=200)
    await batch.start(send_at=start)
    await until(lambda: waits_until(batch, start))
    await batches.cancel(harness.client, batch.key)
    assert set(await batch.outcomes()) == {"cancelled"}
    assert await provider.requests() == []


async def waits_until(batch: Batch, start: datetime) -> bool:
    state = await batch.status()
    return state.send_at == start and state.started_at is None and state.counts.running == 5


async def test_rows_start_at_the_rate_which_may_change_while_the_batch_runs(
    harness: SendHarness, provider: Simulator
) -> None:
    batch = Batch(harness, rows(30))
    await batch.start(per_minute=120)
    await until_arrived(provider, 6)
    times = [request["at"] for request in await provider.requests("send_text")]
    assert times[5] - times[0] >= 1.5
    assert len(times) <= 10
    await batches.set_rate(harness.client, batch.key, None)
    assert set(await batch.outcomes()) == {"accepted"}


async def test_the_limit_of_the_account_bounds_the_requests_of_a_batch(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    async with worker_on(CGB_MAX_REQUESTS_PER_MINUTE="300") as harness:
        batch = Batch(harness, rows(15))
        await batch.start()
        assert set(await batch.outcomes()) == {"accepted"}
    times = sorted(request["at"] for request in await provider.requests())
    assert len(times) == 15 * 4
    # Five a second: the server lets the requests of one second pass at once.
    for first, last in zip(times, times[20:], strict=False):
        assert last - first >= (20 - 5 - 1) / 5 - 0.5


async def test_a_batch_pauses_after_the_requested_number_of_consecutive_failures(
    harness: SendHarness, provider: Simulator
) -> None:
    batch = Batch(harness, rows(30))
    await provider.faults(Fault(route="send_text", status=400))
    await batch.start(in_flight=4, pause_after=3)

    async def paused() -> bool:
        return (await batch.status()).paused

    await until(paused)
    await provider.faults()
    await batches.resume(harness.client, batch.key)
    outcomes = await batch.outcomes()
    assert 3 <= outcomes.count("failed") <= 5
    assert outcomes.count("accepted") == 30 - outcomes.count("failed")


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        [],
        "x",
        {"key": "k"},
        {"key": "k", "rows": []},
        {"key": "k", "rows": [{"row": 1}]},
        {"key": "k", "rows": [{"row": 1, "key": "a", "request": {"to": "+1234567890"}}]},
        {"key": "", "rows": [{"row": 1, "key": "a", "request": {"to": "+1", "message": "x"}}]},
        {"key": "k", "colour": "red", "parts": [{"running": 1}]},
        {
            "key": "k",
            "rows": [{"row": 1, "key": n, "request": {"to": "+1", "message": "x"}} for n in "ab"],
        },
    ],
)
async def test_an_invalid_start_from_another_sdk_fails_at_once(
    harness: SendHarness, body: Any
) -> None:
    plain = await Client.connect(harness.client.service_client.config.target_host)
    with pytest.raises(WorkflowFailureError) as failed:
        await plain.execute_workflow(
            "SendWhatsAppBatch", body, id=f"raw-{uuid.uuid4()}", task_queue=harness.task_queue
        )
    cause = failed.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.type == "InvalidRequest"


async def test_another_sdk_starts_a_batch_with_one_object(
    harness: SendHarness, provider: Simulator
) -> None:
    plain = await Client.connect(harness.client.service_client.config.target_host)
    key, phone = f"b-{uuid.uuid4()}", new_phone()
    invalid = {"row": 2, "key": "b", "request": {"to": "abc", "message": "x"}}
    body = {
        "key": key,
        "rows": [{"row": 1, "key": "a", "request": {"to": phone, "message": "x"}}, invalid],
    }
    result = await plain.execute_workflow(
        "SendWhatsAppBatch", body, id=batch_id(key), task_queue=harness.task_queue
    )
    assert (result["counts"]["accepted"], result["counts"]["failed"]) == (1, 1)
    assert len(await provider.inbox(phone)) == 1
    report = await batches.outcomes(harness.client, key)
    assert [row.error_type for row in report] == [None, "InvalidPhoneNumber"]


async def test_the_public_request_starts_a_batch(harness: SendHarness, provider: Simulator) -> None:
    batch = Batch(harness, rows(3))
    await harness.client.start_workflow(
        "SendWhatsAppBatch",
        BatchRequest(key=batch.key, rows=batch.rows, in_flight=2, per_minute=6000),
        id=batch.handle.id,
        task_queue=harness.task_queue,
    )
    assert await batch.outcomes() == ["accepted"] * 3
    assert (await batch.status()).per_minute == 6000
    assert len(await provider.inbox()) == 3


@pytest.mark.parametrize("by_command", [False, True], ids=["in the Web UI", "by command"])
async def test_a_batch_cancelled_during_the_lookup_of_its_template_sends_nothing(
    harness: SendHarness, provider: Simulator, by_command: bool
) -> None:
    batch = Batch(harness, rows(3, message=None, template="visa_approved"))
    await provider.faults(Fault(route="list_flows", status=429, headers={"retry-after": "60"}))
    await batch.start()

    async def is_looking_up() -> bool:
        return len(await provider.requests("list_flows")) > 0

    await until(is_looking_up)
    if by_command:
        await batches.cancel(harness.client, batch.key)
    else:
        await batch.handle.cancel()
    # Long before the next attempt of the lookup.
    assert await batch.outcomes(within_s=30) == ["cancelled"] * 3
    assert not await provider.inbox()


async def test_a_batch_from_another_sdk_that_is_cancelled_at_once_reports_every_row(
    harness: SendHarness, provider: Simulator
) -> None:
    batch = Batch(harness, rows(600))
    await harness.client.start_workflow(
        "SendWhatsAppBatch",
        BatchRequest(key=batch.key, rows=batch.rows),
        id=batch.handle.id,
        task_queue=harness.task_queue,
    )
    await batch.handle.cancel()
    outcomes = await batch.outcomes()
    assert set(outcomes) <= {"accepted", "cancelled"}
    assert outcomes.count("accepted") == len(await provider.inbox())


@pytest.mark.timeout(300)
@pytest.mark.parametrize("slow_ms", [0, 3000], ids=["quick provider", "with slow rows"])
async def test_kills_and_a_restart_break_no_promise(slow_ms: int) -> None:
    found = await prove(300, kills=1, restarts=1, delivery="at_most_once", slow_ms=slow_ms)
    assert not found["broken"], found
    assert found["incidentsLeft"] == 0
