"""What batches promise when something ends from outside: no row is lost, doubled or misreported."""

import uuid
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError

from bench.batch_proof import prove
from send_whatsapp.client import batches
from send_whatsapp.contract.batch import Counts, Row, RowOutcome
from send_whatsapp.contract.names import batch_id, part_id
from send_whatsapp.contract.request import SendWhatsAppRequest
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import SendHarness, WorkerOn, new_phone, until

WAITS = Fault(route="send_text", status=429, headers={"retry-after": "60"})


def rows(count: int, **fields: Any) -> list[Row]:
    return [
        Row(
            row=number,
            key=f"k{number}",
            request=SendWhatsAppRequest.model_validate(
                {"to": new_phone(), "message": "x", "delivery": "at_most_once", **fields}
            ),
        )
        for number in range(2, count + 2)
    ]


class Batch:
    """One batch of a test, by its key."""

    def __init__(self, harness: SendHarness, whole: list[Row]) -> None:
        self.harness, self.rows, self.key = harness, whole, f"b-{uuid.uuid4()}"

    async def start(self, **words: Any) -> None:
        queue = self.harness.task_queue
        await batches.start(self.harness.client, self.key, self.rows, [], task_queue=queue, **words)

    async def ended(self, within_s: float = 60) -> list[RowOutcome]:
        async def closed() -> bool:
            return not (await batches.get_status(self.harness.client, self.key)).running

        await until(closed, within_s)
        return await batches.outcomes(self.harness.client, self.key)

    async def outcomes(self) -> list[str]:
        state = await batches.get_status(self.harness.client, self.key)
        report = await self.ended()
        assert Counts.of(report) == (await batches.get_status(self.harness.client, self.key)).counts
        assert state.key == self.key
        assert [row.row for row in report] == [row.row for row in self.rows]
        for row in report:
            assert row.finished_at
            assert row.outcome == "accepted" or (row.error_type and row.error)
        return [row.outcome for row in report]


async def arrived(provider: Simulator, count: int) -> None:
    async def there() -> bool:
        return len(await provider.inbox()) >= count

    await until(there)


async def refused(harness: SendHarness, key: str, count: int) -> None:
    """Return when so many sends of the first part wait for their next attempt."""
    handle = harness.client.get_workflow_handle(part_id(batch_id(key), 1, 0))

    async def waiting() -> bool:
        pending = (await handle.describe()).raw_description.pending_activities
        return sum(activity.attempt > 1 for activity in pending) >= count

    await until(waiting)


async def begun(provider: Simulator, count: int) -> None:
    async def there() -> bool:
        return len(await provider.requests("send_text")) >= count

    await until(there)


async def test_a_terminated_part_is_judged_by_its_history(
    harness: SendHarness, provider: Simulator
) -> None:
    batch = Batch(harness, rows(40))
    await provider.faults(Fault(route="send_text", kind="hang", skip=5))
    await batch.start(limits=batches.BatchLimits(in_flight=40))
    await begun(provider, 15)
    part = part_id(batch_id(batch.key), 1, 0)
    await harness.client.get_workflow_handle(part).terminate()
    told = await batch.outcomes()
    sent = {message["phone"] for message in await provider.inbox()}
    report = await batches.outcomes(harness.client, batch.key)
    assert {row.to for row in report if row.outcome == "accepted"} <= sent
    assert 10 <= told.count("unknown") <= 25
    assert told.count("cancelled") > 0
    assert {row.error_type for row in report if row.outcome == "unknown"} == {"DeliveryUnknown"}


async def test_a_terminated_batch_stops_and_the_same_key_sends_the_rest(
    harness: SendHarness, provider: Simulator
) -> None:
    batch = Batch(harness, rows(60))
    await provider.faults(WAITS.model_copy(update={"skip": 30}))
    await batch.start(limits=batches.BatchLimits(in_flight=20))
    await arrived(provider, 30)
    await harness.client.get_workflow_handle(batch_id(batch.key)).terminate()
    await provider.faults()
    await batch.start()
    assert set(await batch.outcomes()) == {"accepted"}
    phones = [message["phone"] for message in await provider.inbox()]
    assert sorted(phones) == sorted(row.request.to for row in batch.rows)


async def test_a_batch_cancelled_in_the_web_ui_tells_what_was_not_sent(
    harness: SendHarness, provider: Simulator
) -> None:
    batch = Batch(harness, rows(30))
    await provider.faults(WAITS.model_copy(update={"skip": 10}))
    await batch.start()
    await refused(harness, batch.key, 20)
    await harness.client.get_workflow_handle(batch_id(batch.key)).cancel()
    told = await batch.outcomes()
    assert (told.count("accepted"), told.count("cancelled")) == (10, 20)


async def test_rows_begin_at_the_rate_which_changes_while_it_runs(
    harness: SendHarness, provider: Simulator
) -> None:
    batch = Batch(harness, rows(30))
    await batch.start(limits=batches.BatchLimits(per_minute=120))
    await arrived(provider, 6)
    seen = [request["at"] for request in await provider.requests("send_text")]
    assert seen[5] - seen[0] >= 1.5
    assert len(seen) <= 10
    await batches.set_rate(harness.client, batch.key, None)
    assert set(await batch.outcomes()) == {"accepted"}


async def test_the_accounts_limit_bounds_the_requests_of_a_batch(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    async with worker_on(CGB_MAX_REQUESTS_PER_MINUTE="300") as harness:
        batch = Batch(harness, rows(15))
        await batch.start()
        assert set(await batch.outcomes()) == {"accepted"}
    times = sorted(request["at"] for request in await provider.requests())
    assert len(times) == 15 * 4
    # Five a second: the server lets a second's worth through at once.
    for first, last in zip(times, times[20:], strict=False):
        assert last - first >= (20 - 5 - 1) / 5 - 0.5


async def test_failures_in_a_row_pause_at_the_threshold_that_is_asked_for(
    harness: SendHarness, provider: Simulator
) -> None:
    batch = Batch(harness, rows(30))
    await provider.faults(Fault(route="send_text", status=400))
    await batch.start(limits=batches.BatchLimits(in_flight=4, pause_after=3))

    async def paused() -> bool:
        return (await batches.get_status(harness.client, batch.key)).paused

    await until(paused)
    await provider.faults()
    await batches.resume(harness.client, batch.key)
    told = await batch.outcomes()
    assert 3 <= told.count("failed") <= 5
    assert told.count("accepted") == 30 - told.count("failed")


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
async def test_a_malformed_start_from_another_sdk_fails_at_once(
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
    wrong = {"row": 2, "key": "b", "request": {"to": "abc", "message": "x"}}
    body = {
        "key": key,
        "rows": [{"row": 1, "key": "a", "request": {"to": phone, "message": "x"}}, wrong],
    }
    told = await plain.execute_workflow(
        "SendWhatsAppBatch", body, id=batch_id(key), task_queue=harness.task_queue
    )
    assert (told["counts"]["accepted"], told["counts"]["failed"]) == (1, 1)
    assert len(await provider.inbox(phone)) == 1
    report = await batches.outcomes(harness.client, key)
    assert [row.error_type for row in report] == [None, "InvalidPhoneNumber"]


@pytest.mark.timeout(300)
async def test_kills_and_a_restart_break_no_promise() -> None:
    found = await prove(300, kills=1, restarts=1, delivery="at_most_once")
    assert not found["broken"], found
    assert found["incidentsLeft"] == 0
