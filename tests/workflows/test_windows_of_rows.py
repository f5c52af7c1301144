"""Send windows of rows: those of other zones are not held up, and one timer wakes many rows."""

import asyncio
import os
import signal
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client

from send_whatsapp.client import batches
from send_whatsapp.contract.batch import Row
from send_whatsapp.contract.errors import utc
from send_whatsapp.contract.names import batch_id, part_id
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.settings import WorkerSettings
from simulator.faults import Fault
from simulator.process import Simulator
from tests.clocks import SOMEWHERE, Clocks
from tests.conftest import ProcessOn, SendHarness, WorkerOn, new_phone, run_command, until
from tests.workflows.conftest import Batch
from tools.dev_server import DevServer

pytestmark = pytest.mark.timeout(300)

BY_DAY = {"from": "09:00", "to": "20:00"}
ZONES = ("Antarctica/Troll", "Antarctica/Casey", "Antarctica/Davis", "Antarctica/Mawson")


def row(number: int, zone: str | None, **fields: Any) -> Row:
    window = BY_DAY | {"zone": zone} if zone else None
    content = {"message": f"row {number}", "sendWindow": window}
    request = SendWhatsAppRequest.model_validate({"to": new_phone(), **content, **fields})
    return Row(row=number, key=f"k{number}", request=request)


async def texts(provider: Simulator) -> list[str]:
    return [message["text"] for message in await provider.inbox()]


def sent(rows: Sequence[Row]) -> set[str]:
    return {f"row {row.row}" for row in rows}


async def waits(batch: Batch, count: int, accepted: int) -> bool:
    status = await batch.status()
    return (status.outside_window, status.counts.accepted) == (count, accepted)


async def events(batch: Batch, workflow_id: str) -> list[str]:
    handle = batch.harness.client.get_workflow_handle(workflow_id)
    history = await handle.fetch_history()
    return [EventType.Name(event.event_type) for event in history.events]


async def test_rows_wait_for_the_windows_of_their_zones_and_hold_up_no_others(
    worker_on: WorkerOn, provider: Simulator, clocks: Clocks, server: DevServer
) -> None:
    # 600 rows in three parts, each with rows of all zones, and five rows in flight.
    rows = [row(n, (None, *ZONES)[n % 5]) for n in range(2, 602)]
    by_zone = {zone: [r for r in rows if r.row % 5 == n] for n, zone in enumerate((None, *ZONES))}
    async with worker_on(CGB_TIMEOUT="10000") as harness:
        clocks.show("12:00:00", ZONES[0])
        clocks.show("08:00:00", ZONES[1])
        now = clocks.show("07:00:00", ZONES[2])
        clocks.show("03:00:00", ZONES[3])
        batch = Batch(harness, rows)
        await batch.start(in_flight=50)
        await until(lambda: waits(batch, 360, 240), 60)
        assert set(await texts(provider)) == sent([*by_zone[None], *by_zone[ZONES[0]]])
        status = await batch.status()
        assert status.window_opens_at
        assert abs(status.window_opens_at - now - timedelta(hours=1)) < timedelta(seconds=2)
        assert status.seconds_left is not None
        assert 3590 < status.seconds_left < 3700
        shown = await run_command("batch", "status", batch.key, address=server.address)
        assert "360 rows wait for their send window, the first until" in shown.out
        handle = harness.client.get_workflow_handle(batch_id(batch.key))
        metadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
        words = "360 of them wait for their send window, the first until "
        assert metadata.current_details.endswith(words + utc(status.window_opens_at))
        # One timer for the next opening of all parts.
        timers = (await events(batch, batch_id(batch.key))).count("EVENT_TYPE_TIMER_STARTED")
        assert timers < 10
        await batches.cancel(harness.client, batch.key)
        outcomes = await batch.outcomes()
    assert outcomes.count("cancelled") == 360
    assert len(await provider.inbox()) == 240


async def test_rows_go_out_when_their_windows_open(
    worker_on: WorkerOn, provider: Simulator, clocks: Clocks
) -> None:
    rows = [row(n, ZONES[n % 3]) for n in range(2, 602)]
    async with worker_on(CGB_TIMEOUT="10000") as harness:
        now = clocks.show("12:00:00", ZONES[0])
        clocks.show("08:59:45", ZONES[1])
        clocks.show("08:59:35", ZONES[2])
        batch = Batch(harness, rows)
        await batch.start(in_flight=50)
        assert set(await batch.outcomes(120)) == {"accepted"}
        found = {message["text"]: message["at"] for message in await provider.inbox()}
        for zone, opens_s in ((ZONES[1], 15), (ZONES[2], 25)):
            mine = [found[f"row {r.row}"] for r in rows if ZONES[r.row % 3] == zone]
            opens_at = (now + timedelta(seconds=opens_s)).timestamp()
            assert min(mine) >= opens_at
            assert max(mine) < opens_at + 9
        assert len(found) == len(rows)
        status = await batch.status()
        assert (status.outside_window, status.window_opens_at) == (0, None)
        for number in range(3):
            part = part_id(batch_id(batch.key), 1, number)
            names = await events(batch, part)
            # No timer for each row; those of groups and of lost attempts are few.
            assert names.count("EVENT_TYPE_TIMER_STARTED") < 40
            assert len(names) < 700


async def test_a_night_adds_nothing_to_the_histories(
    worker_on: WorkerOn, provider: Simulator, clocks: Clocks
) -> None:
    rows = [row(n, SOMEWHERE) for n in range(2, 302)]
    async with worker_on(CGB_TIMEOUT="10000") as harness:
        clocks.show("21:00:00")
        batch = Batch(harness, rows)
        await batch.start(in_flight=50)
        await until(lambda: waits(batch, 300, 0))
        ids = [batch_id(batch.key), *(part_id(batch_id(batch.key), 1, n) for n in (0, 1))]

        async def sizes() -> list[int]:
            return [len(await events(batch, id_)) for id_ in ids]

        # A check of silent parts that had begun ends.
        await asyncio.sleep(11)
        before = await sizes()
        await asyncio.sleep(11)
        assert await sizes() == before
        assert max(before) < 60
        await batches.cancel(harness.client, batch.key)
        assert set(await batch.outcomes()) == {"cancelled"}


async def test_rows_that_have_not_begun_when_their_window_closes_wait_for_the_next_one(
    worker_on: WorkerOn, provider: Simulator, clocks: Clocks
) -> None:
    rows = [row(n, SOMEWHERE if n % 2 else None) for n in range(2, 302)]
    async with worker_on(CGB_TIMEOUT="10000") as harness:
        now = clocks.show("19:59:55", then=(20, "09:00:00"))
        batch = Batch(harness, rows)
        # 20 rows a second: the window closes when some of them have been sent.
        await batch.start(per_minute=1200)
        await until(lambda: has_outside(batch), 60)
        assert (await batch.status()).counts.accepted > 20
        assert set(await batch.outcomes(120)) == {"accepted"}
        found = {m["text"]: m["at"] - now.timestamp() for m in await provider.inbox()}
        mine = [found[f"row {r.row}"] for r in rows if r.row % 2]
        assert not [at for at in mine if 5.5 < at < 20]
        assert max(mine) > 20
        others = [found[f"row {r.row}"] for r in rows if not r.row % 2]
        assert [at for at in others if 5.5 < at < 20]


async def has_outside(batch: Batch) -> bool:
    return (await batch.status()).outside_window > 0


async def test_pausing_while_a_window_opens_sends_its_rows_after_the_pause(
    worker_on: WorkerOn, provider: Simulator, clocks: Clocks
) -> None:
    rows = [row(n, SOMEWHERE) for n in range(2, 12)]
    async with worker_on(CGB_TIMEOUT="10000") as harness:
        opens_at = clocks.show("08:59:55") + timedelta(seconds=5)
        batch = Batch(harness, rows)
        await batch.start()
        await until(lambda: waits(batch, 10, 0))
        await batches.pause(harness.client, batch.key)
        await until(lambda: datetime.now(UTC) > opens_at + timedelta(seconds=2))
        assert not await provider.inbox()
        await batches.resume(harness.client, batch.key)
        assert set(await batch.outcomes()) == {"accepted"}


async def test_rows_whose_window_opens_too_late_expire_at_once(
    worker_on: WorkerOn, provider: Simulator, clocks: Clocks
) -> None:
    async with worker_on(CGB_TIMEOUT="10000") as harness:
        opens_at = clocks.show("08:00:00") + timedelta(hours=1)
        rows = [row(2, SOMEWHERE, expiresAt=opens_at), row(3, None, expiresAt=opens_at)]
        batch = Batch(harness, rows)
        await batch.start()
        report = await batch.report()
    assert [row.outcome for row in report] == ["failed", "accepted"]
    assert report[0].error_type == "Expired"


async def test_a_batch_that_starts_later_judges_the_windows_then(
    worker_on: WorkerOn, provider: Simulator, clocks: Clocks
) -> None:
    async with worker_on(CGB_TIMEOUT="10000") as harness:
        now = clocks.show("08:59:50")
        batch = Batch(harness, [row(n, SOMEWHERE) for n in range(2, 12)])
        await batch.start(send_at=now + timedelta(seconds=5))
        await until(lambda: waits(batch, 10, 0))
        assert set(await batch.outcomes()) == {"accepted"}
        first = min(message["at"] for message in await provider.inbox())
        assert first >= (now + timedelta(seconds=10)).timestamp()


async def test_rows_that_take_turns_and_rows_by_themselves_wait_too(
    worker_on: WorkerOn, provider: Simulator, clocks: Clocks
) -> None:
    person = new_phone()
    template = {"template": "visa_approved", "message": None}
    async with worker_on(CGB_TIMEOUT="10000", CGB_RECIPIENT_GAP="200") as harness:
        opens_at = clocks.show("08:59:54") + timedelta(seconds=6)
        rows = [
            row(2, SOMEWHERE, to=person, variables={"name": "a"}, **template),
            row(3, SOMEWHERE, to=person, variables={"name": "b"}, **template),
            row(4, SOMEWHERE, sendAt=opens_at + timedelta(seconds=2)),
            row(5, None, to=person, inOrder=True),
        ]
        batch = Batch(harness, rows)
        await batch.start()
        await until(lambda: waits(batch, 2, 1))
        assert set(await batch.outcomes()) == {"accepted"}
        by_person = [message["text"] for message in await provider.inbox(person)]
    names = ["Dear a, your visa is approved.", "Dear b, your visa is approved."]
    assert by_person == ["row 5", *names]


@pytest.mark.parametrize("setting", [{}, {"CGB_MAX_REQUESTS_PER_MINUTE": "60000"}])
async def test_a_row_with_a_turn_that_comes_too_late_gives_it_back(
    worker_on: WorkerOn, provider: Simulator, clocks: Clocks, setting: dict[str, str]
) -> None:
    person = new_phone()
    limited = Fault(route="send_text", status=429, headers={"retry-after": "7"}, times=1)
    await provider.faults(limited)
    async with worker_on(
        CGB_TIMEOUT="5000", CGB_RETRY_FOR="60", CGB_RECIPIENT_GAP="200", **setting
    ) as harness:
        first = await harness.start(to=person, message="first", inOrder=True)
        await until(lambda: has_called(provider))
        clocks.show("19:59:56", then=(14, "09:00:00"))
        batch = Batch(harness, [row(n, SOMEWHERE, to=person, inOrder=True) for n in (2, 3)])
        await batch.start()
        await until(lambda: is_in_queue(batch))
        other = await harness.start(to=person, message="other", inOrder=True)
        await until(lambda: waits(batch, 2, 0), 60)
        assert set(await batch.outcomes()) == {"accepted"}
        found = [message["text"] for message in await provider.inbox(person)]
    assert found == ["first", "other", "row 2", "row 3"]
    assert first.id != other.id


async def has_called(provider: Simulator) -> bool:
    return bool(await provider.requests("send_text"))


async def is_in_queue(batch: Batch) -> bool:
    return (await batch.status()).in_queue > 0


async def test_a_terminated_part_that_waits_for_a_window_is_noticed_when_it_opens(
    worker_on: WorkerOn, provider: Simulator, clocks: Clocks
) -> None:
    async with worker_on(CGB_TIMEOUT="10000") as harness:
        clocks.show("08:59:54")
        batch = Batch(harness, [row(n, SOMEWHERE) for n in range(2, 302)])
        await batch.start()
        await until(lambda: waits(batch, 300, 0))
        await batch.part.terminate()
        outcomes = await batch.outcomes()
    assert (outcomes.count("accepted"), outcomes.count("cancelled")) == (50, 250)


async def test_rows_that_wait_survive_the_death_of_all_workers(
    client: Client,
    provider: Simulator,
    clocks: Clocks,
    settings_for: Callable[..., WorkerSettings],
    worker_process: ProcessOn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = settings_for(CGB_TIMEOUT="5000")
    monkeypatch.setenv("PYTHONTZPATH", clocks.variables["PYTHONTZPATH"])
    opens_at = clocks.show("08:59:40") + timedelta(seconds=20)
    batch = Batch(SendHarness(client, settings), [row(n, SOMEWHERE) for n in range(2, 302)])
    with worker_process(settings) as first:
        await batch.start()
        await until(lambda: waits(batch, 300, 0))
        os.kill(first.pid, signal.SIGKILL)
    await until(lambda: datetime.now(UTC) > opens_at, 60)
    with worker_process(settings):
        assert set(await batch.outcomes(120)) == {"accepted"}
    sent = [message["phone"] for message in await provider.inbox()]
    assert sorted(sent) == sorted(row.request.to for row in batch.rows)


@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
async def test_rows_that_were_lost_with_a_worker_after_a_night_end(
    client: Client,
    provider: Simulator,
    clocks: Clocks,
    settings_for: Callable[..., WorkerSettings],
    worker_process: ProcessOn,
    monkeypatch: pytest.MonkeyPatch,
    delivery: str,
) -> None:
    await provider.faults(Fault(route="send_text", kind="hang", effect=True, times=2))
    settings = settings_for(CGB_TIMEOUT="2000", CGB_RETRY_ATTEMPTS="3")
    monkeypatch.setenv("PYTHONTZPATH", clocks.variables["PYTHONTZPATH"])
    clocks.show("08:59:50")
    rows = [row(n, SOMEWHERE, delivery=delivery) for n in range(2, 4)]
    batch = Batch(SendHarness(client, settings), rows)
    with worker_process(settings) as first:
        await batch.start()
        await until(lambda: has_called(provider))
        os.kill(first.pid, signal.SIGKILL)
    with worker_process(settings):
        outcomes = await batch.outcomes(120)
    assert set(outcomes) == {"accepted" if delivery == "at_least_once" else "unknown"}


async def test_rows_of_another_client_may_have_windows_of_their_own(
    worker_on: WorkerOn, provider: Simulator, clocks: Clocks
) -> None:
    async with worker_on(CGB_TIMEOUT="10000") as harness:
        clocks.show("08:59:55")
        rows = [
            {"row": n, "key": f"k{n}", "request": {"to": new_phone(), "message": "x"} | fields}
            for n, fields in enumerate(
                (
                    {"sendWindow": BY_DAY | {"zone": SOMEWHERE}},
                    {"sendWindow": {"from": "00:00", "to": "23:59", "zone": SOMEWHERE}},
                    {},
                ),
                1,
            )
        ]
        key = str(uuid.uuid4())
        started = await harness.client.start_workflow(
            "SendWhatsAppBatch",
            {"key": key, "rows": rows},
            id=batch_id(key),
            task_queue=harness.task_queue,
        )
        result = await started.result()
    assert result["counts"]["accepted"] == 3
    assert (result["outsideWindow"], result["windowOpensAt"]) == (0, None)
