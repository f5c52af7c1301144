"""A batch whose history is full goes on as a new run while its parts send, and nobody notices."""

import uuid
from collections.abc import AsyncIterator

import pytest
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from send_whatsapp.client import batches
from send_whatsapp.contract.batch import BatchState, Counts, Row, RowOutcome
from send_whatsapp.contract.converter import contract_plugin
from send_whatsapp.contract.names import batch_id
from send_whatsapp.contract.request import SendWhatsAppRequest
from simulator.process import Simulator
from tests.conftest import SendHarness, WorkerOn, new_phone, until
from worker import WORKFLOWS
from workflows import send_batch

STEPS_A_RUN = 15
"""Instead of hundreds, so that few rows make several runs."""

ROWS = 500
PARTS = 6
"""Long texts, so that few rows fill a part."""


@pytest.fixture
async def harness(
    worker_on: WorkerOn, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SendHarness]:
    monkeypatch.setattr(send_batch, "STEPS_A_RUN", STEPS_A_RUN)
    # The simulator needs its time for so many rows at once where the machine is busy.
    async with worker_on(CGB_TIMEOUT="10000") as running:
        yield running


class Batch:
    """A batch of long texts, and the chain of its runs."""

    def __init__(self, harness: SendHarness, count: int = ROWS) -> None:
        self.harness, self.key = harness, f"b-{uuid.uuid4()}"
        self.rows = [
            Row(
                row=number,
                key=f"k{number}",
                request=SendWhatsAppRequest(
                    to=new_phone(), message="x" * 4096, delivery="at_most_once"
                ),
            )
            for number in range(2, count + 2)
        ]
        self.handle = harness.client.get_workflow_handle(batch_id(self.key))

    async def start(self, **pace: int) -> BatchState:
        return await batches.start(
            self.harness.client,
            self.key,
            self.rows,
            [],
            limits=batches.BatchLimits(**pace),
            task_queue=self.harness.task_queue,
        )

    async def state(self) -> BatchState:
        return await batches.get_status(self.harness.client, self.key)

    async def run_id(self) -> str:
        return (await self.handle.describe()).run_id

    async def becomes_another_run(self, per_minute: int) -> None:
        """Change the rate, each time by one, until the history is full; end at this one."""
        before = await self.run_id()
        changes = 0
        while await self.run_id() == before:
            changes += 1
            assert changes < 10 * STEPS_A_RUN, "no new run"
            await batches.set_rate(self.harness.client, self.key, per_minute + changes)
        await batches.set_rate(self.harness.client, self.key, per_minute)

    async def report(self, within_s: float = 60) -> list[RowOutcome]:
        """Return the report once the batch has ended, which agrees with its counts."""

        async def closed() -> bool:
            return not (await batches.get_status(self.harness.client, self.key)).running

        await until(closed, within_s)
        report = await batches.outcomes(self.harness.client, self.key)
        assert [row.row for row in report] == [row.row for row in self.rows]
        assert (await self.state()).counts == Counts.of(report)
        return report


async def test_every_row_is_sent_once_over_several_runs(
    harness: SendHarness, provider: Simulator
) -> None:
    batch = Batch(harness)
    assert (await batch.start()).parts == PARTS
    runs, ended = set(), 0

    async def closed() -> bool:
        nonlocal ended
        state = await batches.get_status(harness.client, batch.key)
        assert state.counts.total == ROWS
        assert ended <= state.counts.ended <= await arrived(provider)
        ended = state.counts.ended
        runs.add(await batch.run_id())
        return not state.running

    await until(closed, 60)
    assert len(runs) > 1
    # What a run did follows from its history, though it was looked at all the time.
    replayer = Replayer(
        workflows=WORKFLOWS,
        workflow_runner=UnsandboxedWorkflowRunner(),
        plugins=[contract_plugin()],
    )
    for run_id in runs:
        run = harness.client.get_workflow_handle(batch.handle.id, run_id=run_id)
        await replayer.replay_workflow(await run.fetch_history())
    assert {row.outcome for row in await batch.report()} == {"accepted"}
    sent = [message["phone"] for message in await provider.inbox()]
    assert sorted(sent) == sorted(row.request.to for row in batch.rows)
    # The same file again is told apart from another one by the last run of the chain, too.
    assert (await batch.start()).counts.accepted == ROWS
    assert await arrived(provider) == ROWS


async def test_rows_that_came_with_the_start_are_sent_once_over_several_runs(
    harness: SendHarness, provider: Simulator
) -> None:
    batch = Batch(harness, 300)
    rows = [row.model_dump(mode="json", by_alias=True) for row in batch.rows]
    begun = await harness.client.start_workflow(
        "SendWhatsAppBatch",
        {"key": batch.key, "rows": rows},
        id=batch_id(batch.key),
        task_queue=harness.task_queue,
    )
    told = await begun.result()
    assert told["counts"]["accepted"] == len(rows) == len(await batch.report())
    assert await batch.run_id() != begun.first_execution_run_id
    sent = [message["phone"] for message in await provider.inbox()]
    assert sorted(sent) == sorted(row.request.to for row in batch.rows)


async def test_pause_rate_and_cancel_hold_in_the_next_run(
    harness: SendHarness, provider: Simulator
) -> None:
    batch = Batch(harness)
    await batch.start(per_minute=600)
    await arrives(provider, 20)
    assert (await batches.pause(harness.client, batch.key)).paused
    await batch.becomes_another_run(per_minute=300)
    # What was on its way when the pause came has ended before a whole chain of updates.
    sent = await arrived(provider)
    await batch.becomes_another_run(per_minute=300)
    state = await batch.state()
    assert state.paused
    assert state.pause_reason == "an operator paused it"
    assert state.per_minute == 300
    assert state.counts.total == ROWS
    assert await arrived(provider) == sent < ROWS

    assert not (await batches.resume(harness.client, batch.key)).paused
    await arrives(provider, sent + 30)
    times = sorted(request["at"] for request in await provider.requests("send_text"))[sent:]
    # Five rows a second, by one part or several: a second's worth may go out at once.
    assert times[29] - times[0] >= 3

    await batch.becomes_another_run(per_minute=300)
    assert (await batches.cancel(harness.client, batch.key)).cancelled
    # Sooner than a batch looks after parts that say nothing: each of them gave its last word.
    outcomes = [row.outcome for row in await batch.report(within_s=15)]
    assert set(outcomes) == {"accepted", "cancelled"}
    assert outcomes.count("accepted") == await arrived(provider)
    assert (await batch.state()).cancelled


async def arrived(provider: Simulator) -> int:
    # Not by the inbox: hundreds of long texts, asked for all the time, keep a machine busy.
    return (await provider.stats())["messages"]


async def arrives(provider: Simulator, count: int) -> None:
    async def there() -> bool:
        return await arrived(provider) >= count

    await until(there)
