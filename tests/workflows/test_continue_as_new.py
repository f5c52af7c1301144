"""A batch whose history is full continues as a new run while its parts send, unnoticed by all."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from send_whatsapp.client import batches
from send_whatsapp.client.origin import CALLER_MEMO
from send_whatsapp.contract.batch import Row
from send_whatsapp.contract.converter import contract_plugin
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.contract.send_window import SendWindow
from simulator.process import Simulator
from tests.clocks import SOMEWHERE, Clocks
from tests.conftest import SendHarness, WorkerOn, new_phone, until
from tests.workflows.conftest import Batch
from worker import WORKFLOWS
from workflows import send_batch

STEPS_PER_RUN = 15
"""Instead of hundreds, so that few rows make several runs."""

ROWS = 500
PARTS = 6
"""Parts of so many rows with long texts."""


@pytest.fixture
async def harness(
    worker_on: WorkerOn, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SendHarness]:
    monkeypatch.setattr(send_batch, "STEPS_PER_RUN", STEPS_PER_RUN)
    # On a busy machine the simulator needs time for so many rows at once.
    async with worker_on(CGB_TIMEOUT="10000") as running:
        yield running


def long_rows(count: int = ROWS) -> list[Row]:
    """Return rows with long texts, so that few rows fill a part."""
    return [
        Row(
            row=number,
            key=f"k{number}",
            request=SendWhatsAppRequest(
                to=new_phone(), message="x" * 4096, delivery="at_most_once"
            ),
        )
        for number in range(2, count + 2)
    ]


async def run_id(batch: Batch) -> str:
    return (await batch.handle.describe()).run_id


async def until_another_run(batch: Batch, per_minute: int) -> None:
    """Change the rate, each time by one, until the batch has a new run; end with this rate."""
    before = await run_id(batch)
    changes = 0
    while await run_id(batch) == before:
        changes += 1
        assert changes < 10 * STEPS_PER_RUN, "no new run"
        await batches.set_rate(batch.harness.client, batch.key, per_minute + changes)
    await batches.set_rate(batch.harness.client, batch.key, per_minute)


async def arrived(provider: Simulator) -> int:
    # Not from the inbox: reading hundreds of long texts again and again keeps a machine busy.
    return (await provider.stats())["messages"]


async def until_arrived(provider: Simulator, count: int) -> None:
    async def have_arrived() -> bool:
        return await arrived(provider) >= count

    await until(have_arrived)


async def test_every_row_is_sent_once_over_several_runs(
    harness: SendHarness, provider: Simulator
) -> None:
    batch = Batch(harness, long_rows())
    assert (await batch.start()).part_count == PARTS
    runs, ended = set(), 0

    async def closed() -> bool:
        nonlocal ended
        state = await batch.status()
        assert state.counts.total == ROWS
        assert ended <= state.counts.ended <= await arrived(provider)
        ended = state.counts.ended
        runs.add(await run_id(batch))
        return not state.running

    await until(closed, 60)
    assert len(runs) > 1
    # Every run can be replayed, though its state was read all the time.
    replayer = Replayer(
        workflows=WORKFLOWS,
        workflow_runner=UnsandboxedWorkflowRunner(),
        plugins=[contract_plugin()],
    )
    for each in runs:
        run = harness.client.get_workflow_handle(batch.handle.id, run_id=each)
        await replayer.replay_workflow(await run.fetch_history())
    assert set(await batch.outcomes()) == {"accepted"}
    sent = [message["phone"] for message in await provider.inbox()]
    assert sorted(sent) == sorted(row.request.to for row in batch.rows)
    # The last run of the chain also knows that the same file has nothing new.
    assert (await batch.start()).counts.accepted == ROWS
    assert await arrived(provider) == ROWS


async def test_rows_wait_for_their_windows_over_several_runs(
    harness: SendHarness, provider: Simulator, clocks: Clocks
) -> None:
    zones = (SOMEWHERE, "Antarctica/Casey")
    windows = [{"from": "09:00", "to": "20:00", "zone": zone} for zone in zones]
    rows = []
    for row in long_rows():
        window = SendWindow.model_validate(windows[row.row % 2])
        request = row.request.model_copy(update={"send_window": window})
        rows.append(row.model_copy(update={"request": request}))
    batch = Batch(harness, rows)
    clocks.show("12:00:00", zones[0])
    opens_at = clocks.show("08:59:40", zones[1]) + timedelta(seconds=20)
    await batch.start()
    await until_arrived(provider, ROWS // 2)
    await until_another_run(batch, per_minute=6000)
    first = await run_id(batch)
    assert (await batch.status()).window_opens_at == opens_at
    assert set(await batch.outcomes()) == {"accepted"}
    sent = [message["phone"] for message in await provider.inbox()]
    assert sorted(sent) == sorted(row.request.to for row in batch.rows)
    waited = {row.request.to for row in rows if row.row % 2}
    times = [m["at"] for m in await provider.inbox() if m["phone"] in waited]
    assert min(times) >= opens_at.timestamp()
    replayer = Replayer(
        workflows=WORKFLOWS,
        workflow_runner=UnsandboxedWorkflowRunner(),
        plugins=[contract_plugin()],
    )
    for each in {first, await run_id(batch)}:
        run = harness.client.get_workflow_handle(batch.handle.id, run_id=each)
        await replayer.replay_workflow(await run.fetch_history())


async def test_rows_in_the_input_are_sent_once_over_several_runs(
    harness: SendHarness, provider: Simulator
) -> None:
    batch = Batch(harness, long_rows(300))
    rows = [row.model_dump(mode="json", by_alias=True) for row in batch.rows]
    started = await harness.client.start_workflow(
        "SendWhatsAppBatch",
        {"key": batch.key, "rows": rows},
        id=batch.handle.id,
        task_queue=harness.task_queue,
        memo={CALLER_MEMO: "shop"},
    )
    result = await started.result()
    assert result["counts"]["accepted"] == len(rows) == len(await batch.report())
    assert await run_id(batch) != started.first_execution_run_id
    assert (await batches.find(harness.client, batch.key)).caller == "shop"
    sent = [message["phone"] for message in await provider.inbox()]
    assert sorted(sent) == sorted(row.request.to for row in batch.rows)


async def test_pause_rate_and_cancel_also_apply_to_the_next_run(
    harness: SendHarness, provider: Simulator
) -> None:
    batch = Batch(harness, long_rows())
    await batch.start(per_minute=600)
    await until_arrived(provider, 20)
    assert (await batches.pause(harness.client, batch.key)).paused
    await until_another_run(batch, per_minute=300)
    # Rows that were in flight at the pause have ended before a whole chain of updates.
    sent = await arrived(provider)
    await until_another_run(batch, per_minute=300)
    state = await batch.status()
    assert state.paused
    assert state.pause_reason == "an operator paused it"
    assert state.per_minute == 300
    assert state.counts.total == ROWS
    assert await arrived(provider) == sent < ROWS

    assert not (await batches.resume(harness.client, batch.key)).paused
    await until_arrived(provider, sent + 30)
    times = sorted(request["at"] for request in await provider.requests("send_text"))[sent:]
    # Five rows a second, by one part or several: those of one second may be sent at once.
    assert times[29] - times[0] >= 3

    await until_another_run(batch, per_minute=300)
    assert (await batches.cancel(harness.client, batch.key)).cancelled
    # Sooner than a batch looks at silent parts: each of them sent its last report.
    outcomes = await batch.outcomes(within_s=15)
    assert set(outcomes) == {"accepted", "cancelled"}
    assert outcomes.count("accepted") == await arrived(provider)
    assert (await batch.status()).cancelled
