"""Rows in groups: what operators, expiry and shutdowns do to a group, and rows that need more."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import (
    PauseActivityRequest,
    ResetActivityRequest,
    UnpauseActivityRequest,
)
from temporalio.client import Client

from send_whatsapp.client import batches
from send_whatsapp.contract.fields import Delivery
from send_whatsapp.contract.names import group_activity_id, row_activity_id
from send_whatsapp.settings import WorkerSettings
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import ProcessOn, SendHarness, WorkerOn, until
from tests.workflows.conftest import BUSY_S, Batch, rows, until_arrived, until_sent

pytestmark = pytest.mark.timeout(300)

FIRST_GROUP = group_activity_id(2)


async def pending(batch: Batch, activity_id: str) -> PendingActivityInfo | None:
    described = await batch.part.describe()
    activities = described.raw_description.pending_activities
    return next((each for each in activities if each.activity_id == activity_id), None)


async def is_paused(batch: Batch, activity_id: str) -> bool:
    """Return whether an activity is paused and no attempt is in flight."""
    activity = await pending(batch, activity_id)
    return activity is not None and activity.paused and not activity.HasField("last_started_time")


async def has_reported(batch: Batch, summary: str) -> bool:
    """Return whether the last report of the first group says this."""
    group = await pending(batch, FIRST_GROUP)
    details = group.heartbeat_details.payloads if group else []
    return any(summary.encode() in payload.data for payload in details)


async def messages_by_phone(provider: Simulator) -> Counter[str]:
    return Counter(message["phone"] for message in await provider.inbox())


async def slow_lookups(provider: Simulator, batch: Batch, count: int) -> None:
    """The last `count` rows wait long for their contacts; the first ones are sent at once."""
    await provider.contacts(*(row.request.to for row in batch.rows))
    slow = batch.rows[-count:]
    await provider.faults(
        *(Fault(route="find_contact", phone=row.request.to, kind="hang", times=1) for row in slow)
    )


async def test_a_row_that_wants_another_attempt_gets_an_activity_of_its_own(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    async with worker_on(CGB_TIMEOUT="20000", CGB_RETRY_ATTEMPTS="3") as harness:
        batch = Batch(harness, rows(60))
        limited = batch.rows[3]
        await provider.faults(
            Fault(
                route="send_text",
                phone=limited.request.to,
                status=429,
                headers={"retry-after": "4"},
                times=1,
            )
        )
        await batch.start()
        await until_arrived(provider, 59)
        activity = await pending(batch, row_activity_id(limited.row))
        assert activity is not None
        assert "429" in activity.last_failure.message
        state = (await batch.status()).counts
        assert (state.accepted, state.running) == (59, 1) or state.running > 1
        assert set(await batch.outcomes()) == {"accepted"}
        assert set((await messages_by_phone(provider)).values()) == {1}


async def test_a_slow_row_does_not_hold_the_rows_after_its_group(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    async with worker_on(CGB_TIMEOUT="40000") as harness:
        batch = Batch(harness, rows(50))
        await provider.contacts(*(row.request.to for row in batch.rows))
        slow = batch.rows[0].request.to
        await provider.faults(
            Fault(route="send_text", phone=slow, status=200, effect=True, delay_ms=15_000)
        )
        await batch.start(in_flight=25)
        await until_arrived(provider, 49)
        assert await pending(batch, FIRST_GROUP)


@pytest.mark.parametrize("command", ["pause", "reset"])
async def test_a_group_that_is_paused_or_reset_sends_each_row_once(
    worker_on: WorkerOn, provider: Simulator, command: str
) -> None:
    async with worker_on(CGB_TIMEOUT="8000", CGB_RETRY_ATTEMPTS="3") as harness:
        batch = Batch(harness, rows(20))
        await slow_lookups(provider, batch, 10)
        await batch.start()
        await until_arrived(provider, 10)
        service, run = harness.client.workflow_service, WorkflowExecution(workflow_id=batch.part.id)
        if command == "pause":
            await service.pause_activity(
                PauseActivityRequest(namespace="default", execution=run, id=FIRST_GROUP)
            )
            await until(lambda: is_paused(batch, FIRST_GROUP))
            assert len(await provider.inbox()) == 10
            await service.unpause_activity(
                UnpauseActivityRequest(namespace="default", execution=run, id=FIRST_GROUP)
            )
        else:
            await service.reset_activity(
                ResetActivityRequest(namespace="default", execution=run, id=FIRST_GROUP)
            )
        assert set(await batch.outcomes()) == {"accepted"}
        phones = await messages_by_phone(provider)
        assert phones == {row.request.to: 1 for row in batch.rows}


async def test_a_cancelled_group_ends_its_sends_in_flight_and_starts_no_other(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    async with worker_on(CGB_TIMEOUT="20000") as harness:
        batch = Batch(harness, rows(20))
        await slow_lookups(provider, batch, 10)
        in_flight = batch.rows[0].request.to
        lookups = [
            Fault(route="find_contact", phone=row.request.to, kind="hang")
            for row in batch.rows[-10:]
        ]
        answer = Fault(route="send_text", phone=in_flight, status=200, effect=True, delay_ms=4000)
        await provider.faults(*lookups, answer)
        await batch.start()
        await until_sent(provider, 10)
        await batches.cancel(harness.client, batch.key)
        outcomes = await batch.outcomes()
        assert outcomes == ["accepted"] * 10 + ["cancelled"] * 10
        assert len(await provider.inbox()) == 10


async def test_rows_that_expire_before_they_are_sent_are_not_sent(
    harness: SendHarness, provider: Simulator
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=3)
    batch = Batch(
        harness,
        [
            *rows(5),
            *(
                row.model_copy(update={"row": row.row + 5, "key": f"e{row.row}"})
                for row in rows(5, expiresAt=soon)
            ),
        ],
    )
    await batch.start(per_minute=60)
    report = await batch.report()
    assert [row.outcome for row in report] == ["accepted"] * 5 + ["failed"] * 5
    assert {row.error_type for row in report[5:]} == {"Expired"}
    assert len(await provider.inbox()) == 5


async def test_a_worker_that_gets_sigterm_finishes_its_groups(
    client: Client,
    provider: Simulator,
    settings_for: Callable[..., WorkerSettings],
    worker_process: ProcessOn,
) -> None:
    settings = settings_for(CGB_TIMEOUT="10000")
    batch = Batch(SendHarness(client, settings), rows(80))
    await provider.faults(Fault(route="send_text", status=200, effect=True, delay_ms=3000))
    with worker_process(settings) as first:
        await batch.start(in_flight=50)
        await until(lambda: were_sent(provider, 50), BUSY_S)
        first.send_signal(signal.SIGTERM)
        await until(lambda: first.poll() == 0)
    await provider.faults()
    with worker_process(settings):
        assert set(await batch.outcomes(BUSY_S)) == {"accepted"}
    assert set((await messages_by_phone(provider)).values()) == {1}


@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
async def test_a_killed_worker_loses_only_rows_in_flight(
    client: Client,
    provider: Simulator,
    settings_for: Callable[..., WorkerSettings],
    worker_process: ProcessOn,
    worker_log: Path,
    delivery: Delivery,
) -> None:
    settings = settings_for(CGB_TIMEOUT="4000", CGB_RETRY_ATTEMPTS="2")
    batch = Batch(SendHarness(client, settings), rows(20, delivery=delivery))
    hanging = {row.request.to for row in batch.rows[:5]}
    await provider.faults(
        *(Fault(route="send_text", phone=phone, kind="hang", times=1) for phone in hanging)
    )

    with worker_process(settings) as first:
        await batch.start()
        await until(lambda: has_reported(batch, "15 of 20 rows"), BUSY_S)
        os.kill(first.pid, signal.SIGKILL)
    with worker_process(settings):
        report = await batch.report(BUSY_S)
    end = "unknown" if delivery == "at_most_once" else "accepted"
    for row in report:
        assert row.outcome == (end if row.to in hanging else "accepted")
    assert set((await messages_by_phone(provider)).values()) == {1}


async def were_sent(provider: Simulator, count: int) -> bool:
    return len(await provider.requests("send_text")) >= count


async def test_the_report_of_a_part_that_is_terminated_in_a_group_tells_each_row(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    async with worker_on(CGB_TIMEOUT="20000") as harness:
        batch = Batch(harness, rows(60))
        refused, hanging = batch.rows[0], batch.rows[1]
        await provider.faults(
            Fault(route="send_text", phone=refused.request.to, status=422),
            Fault(route="send_text", phone=hanging.request.to, kind="hang"),
        )
        await batch.start(in_flight=25, per_minute=600)
        await until_sent(provider, 25)

        await until(lambda: has_reported(batch, "9 of 10 rows"))
        await batch.part.terminate()
        report = {row.key: row for row in await batch.report()}
    outcomes = Counter(row.outcome for row in report.values())
    assert report[refused.key].error_type == "ProviderRejected"
    assert report[hanging.key].outcome == "unknown"
    phones = await messages_by_phone(provider)
    for row in report.values():
        if row.outcome == "accepted":
            assert phones[row.to] == 1
        if row.outcome == "cancelled":
            assert phones[row.to] == 0
    assert outcomes["accepted"] >= 8
    assert outcomes["cancelled"] >= 10
