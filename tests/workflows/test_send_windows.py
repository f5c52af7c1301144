"""Send windows of single sends: they wait for the opening, and what began inside may end outside.

The clock of a zone is set so that a window opens or closes in a few seconds.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowHandle

from send_whatsapp.client.state import Started, State, get_state
from send_whatsapp.contract.errors import utc
from send_whatsapp.contract.names import SEND_WORKFLOW, new_workflow_id
from simulator.faults import Fault
from simulator.process import Simulator
from tests.clocks import SOMEWHERE, Clocks
from tests.conftest import (
    SendHarness,
    WorkerOn,
    cancel,
    error_type,
    new_phone,
    run_command,
    succeeded,
    until,
)
from tests.workflows.conftest import waits_for_attempt
from tools.dev_server import DevServer

pytestmark = pytest.mark.timeout(120)

BY_DAY = {"from": "09:00", "to": "20:00", "zone": SOMEWHERE}


async def details(harness: SendHarness, run: Started) -> str:
    metadata: WorkflowMetadata = await handle_of(harness, run).query(
        "__temporal_workflow_metadata", result_type=WorkflowMetadata
    )
    return metadata.current_details


async def says(harness: SendHarness, run: Started, words: str) -> bool:
    return words in await details(harness, run)


def handle_of(harness: SendHarness, run: Started) -> WorkflowHandle[Any, Any]:
    return harness.client.get_workflow_handle(run.id, run_id=run.run_id)


async def end_of(harness: SendHarness, run: Started) -> State:
    return await get_state(harness.client, run.id, run_id=run.run_id, wait=True)


async def events(harness: SendHarness, run: Started) -> list[str]:
    history = await handle_of(harness, run).fetch_history()
    return [
        EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in history.events
    ]


async def test_outside_its_window_a_send_waits_and_says_until_when(
    worker_on: WorkerOn, provider: Simulator, clocks: Clocks, server: DevServer
) -> None:
    async with worker_on() as harness:
        opens_at = clocks.show("08:59:55") + timedelta(seconds=5)
        run = await harness.start(message="x", sendWindow=BY_DAY)
        words = f"Waits until 09:00 in {SOMEWHERE} ({utc(opens_at)})."
        await until(lambda: says(harness, run, words))
        status = await run_command("status", run.id, "--json", address=server.address)
        assert status.json["progress"]["said"] == words
        assert not await provider.requests()
        result = succeeded(await end_of(harness, run))
        assert datetime.fromisoformat(result.timestamp or "") >= opens_at


async def test_in_its_window_a_send_has_no_event_more_than_without_one(
    worker_on: WorkerOn, provider: Simulator, clocks: Clocks
) -> None:
    async with worker_on() as harness:
        clocks.show("12:00:00")
        histories = []
        for window in (None, BY_DAY):
            run = await harness.start(message="x", sendWindow=window)
            assert (await end_of(harness, run)).outcome == "accepted"
            histories.append(await events(harness, run))
        without, with_window = histories
        assert with_window == without


async def test_the_window_of_a_recipient_is_on_the_clock_of_the_number(
    worker_on: WorkerOn, provider: Simulator, clocks: Clocks
) -> None:
    async with worker_on() as harness:
        clocks.show("12:00:00", "Asia/Jerusalem")
        opens_at = clocks.show("08:00:00", "Europe/Berlin") + timedelta(hours=1)
        window = {"from": "09:00", "to": "20:00"}
        assert (await harness.send(to="+972501234567", message="x", sendWindow=window)).outcome == (
            "accepted"
        )
        run = await harness.start(to="+4915123456789", message="x", sendWindow=window)
        words = f"Waits until 09:00 in Europe/Berlin ({utc(opens_at)})."
        await until(lambda: says(harness, run, words))
        assert (await cancel(harness.client, run.id)).outcome == "cancelled"


async def test_a_send_that_waits_for_its_window_is_cancelled_at_once(
    worker_on: WorkerOn, provider: Simulator, clocks: Clocks
) -> None:
    async with worker_on() as harness:
        clocks.show("08:00:00")
        run = await harness.start(message="x", sendWindow=BY_DAY, inOrder=True)
        await until(lambda: says(harness, run, "Waits until 09:00"))
        assert (await cancel(harness.client, run.id)).outcome == "cancelled"
        assert not await provider.requests()


async def test_a_send_whose_window_opens_too_late_expires_at_once(
    worker_on: WorkerOn, provider: Simulator, clocks: Clocks
) -> None:
    async with worker_on() as harness:
        opens_at = clocks.show("08:00:00") + timedelta(hours=1)
        for expires_at in (opens_at - timedelta(minutes=1), opens_at):
            state = await harness.send(message="x", sendWindow=BY_DAY, expiresAt=expires_at)
            assert error_type(state) == "Expired"
        later = opens_at + timedelta(seconds=1)
        run = await harness.start(message="x", sendWindow=BY_DAY, expiresAt=later)
        await until(lambda: says(harness, run, "Waits until 09:00"))
        assert (await cancel(harness.client, run.id)).outcome == "cancelled"


@pytest.mark.parametrize(
    ("clock", "wait_s", "waits_for"),
    [
        # Open now, closed at `sendAt`.
        ("19:59:58", 4, "Waits until 09:00"),
        # Closed now, open at `sendAt`.
        ("08:59:57", 5, "Waits until 2"),
    ],
)
async def test_with_send_at_the_window_is_judged_at_that_time(
    worker_on: WorkerOn,
    provider: Simulator,
    clocks: Clocks,
    clock: str,
    wait_s: int,
    waits_for: str,
) -> None:
    async with worker_on() as harness:
        send_at = clocks.show(clock) + timedelta(seconds=wait_s)
        # Without the start delay that our starters set.
        handle = await harness.client.start_workflow(
            SEND_WORKFLOW,
            {"to": new_phone(), "message": "x", "sendAt": utc(send_at), "sendWindow": BY_DAY},
            id=new_workflow_id(),
            task_queue=harness.task_queue,
        )
        run = Started(id=handle.id, run_id=handle.result_run_id or "")
        await until(lambda: says(harness, run, waits_for))
        if "09:00" in waits_for:
            assert (await cancel(harness.client, run.id)).outcome == "cancelled"
            return
        result = succeeded(await end_of(harness, run))
        assert datetime.fromisoformat(result.timestamp or "") >= send_at


async def test_a_send_that_began_in_its_window_may_end_outside(
    worker_on: WorkerOn, provider: Simulator, clocks: Clocks
) -> None:
    limited = Fault(route="send_text", status=429, headers={"retry-after": "6"}, times=1)
    await provider.faults(limited)
    async with worker_on(CGB_RETRY_FOR="60") as harness:
        closes_at = clocks.show("19:59:55") + timedelta(seconds=5)
        result = succeeded(await harness.send(message="x", sendWindow=BY_DAY))
        assert datetime.fromisoformat(result.timestamp or "") > closes_at


async def test_a_send_that_has_not_begun_when_its_window_closes_waits_for_the_next_one(
    worker_on: WorkerOn, provider: Simulator, clocks: Clocks
) -> None:
    # The lookup takes until the window has closed.
    limited = Fault(route="find_contact", status=429, headers={"retry-after": "6"}, times=1)
    await provider.faults(limited)
    async with worker_on(CGB_RETRY_FOR="60") as harness:
        clocks.show("19:59:55")
        run = await harness.start(message="x", sendWindow=BY_DAY)
        await until(lambda: says(harness, run, "Waits until 09:00"))
        assert not await provider.inbox()
        assert (await cancel(harness.client, run.id)).outcome == "cancelled"


async def test_a_send_that_is_terminated_after_its_window_closed_before_it_began_was_not_sent(
    worker_on: WorkerOn, provider: Simulator, clocks: Clocks
) -> None:
    limited = Fault(route="find_contact", status=429, headers={"retry-after": "5"}, times=1)
    await provider.faults(limited)
    async with worker_on(CGB_RETRY_FOR="60") as harness:
        clocks.show("19:59:56")
        run = await harness.start(message="x", sendWindow=BY_DAY)
        await until(lambda: says(harness, run, "Waits until 09:00"))
        await handle_of(harness, run).terminate()
        assert (await end_of(harness, run)).outcome == "failed"


async def test_our_starters_start_a_later_send_with_a_window_at_once_so_that_it_expires_at_once(
    worker_on: WorkerOn, provider: Simulator, clocks: Clocks
) -> None:
    async with worker_on() as harness:
        now = clocks.show("18:00:00")
        state = await harness.send(
            message="x",
            sendWindow=BY_DAY,
            sendAt=now + timedelta(hours=3),
            expiresAt=now + timedelta(hours=4),
        )
        assert error_type(state) == "Expired"


@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
@pytest.mark.parametrize("in_order", [False, True])
async def test_a_send_whose_window_closed_before_it_began_goes_out_at_the_next_opening(
    worker_on: WorkerOn, provider: Simulator, clocks: Clocks, delivery: str, in_order: bool
) -> None:
    limited = Fault(route="find_contact", status=429, headers={"retry-after": "5"}, times=1)
    await provider.faults(limited)
    async with worker_on(CGB_RETRY_FOR="60") as harness:
        opens_at = clocks.show("19:59:56", then=(9, "09:00:00")) + timedelta(seconds=9)
        run = await harness.start(
            message="x", sendWindow=BY_DAY, delivery=delivery, inOrder=in_order
        )
        await until(lambda: says(harness, run, f"Waits until 09:00 in {SOMEWHERE}"))
        result = succeeded(await end_of(harness, run))
        assert datetime.fromisoformat(result.timestamp or "") >= opens_at
    assert len(await provider.inbox()) == 1


async def test_a_turn_that_comes_when_the_window_has_closed_is_given_back(
    worker_on: WorkerOn, provider: Simulator, clocks: Clocks
) -> None:
    phone = new_phone()
    limited = Fault(route="send_text", status=429, headers={"retry-after": "6"}, times=1)
    await provider.faults(limited)
    async with worker_on(CGB_RETRY_FOR="60", CGB_RECIPIENT_GAP="300") as harness:
        first = await harness.start(to=phone, message="one", inOrder=True)
        await until(lambda: waits_for_attempt(harness, first, 2))
        clocks.show("19:59:57")
        second = await harness.start(to=phone, message="two", inOrder=True, sendWindow=BY_DAY)
        await until(lambda: says(harness, second, f"Waits for its turn behind {first.id}."))
        third = await harness.start(to=phone, message="three", inOrder=True)
        assert (await end_of(harness, first)).outcome == "accepted"
        await until(lambda: says(harness, second, "Waits until 09:00"))
        assert (await end_of(harness, third)).outcome == "accepted"
        assert (await cancel(harness.client, second.id)).outcome == "cancelled"
    assert [m["text"] for m in await provider.inbox(phone)] == ["one", "three"]


async def test_turns_are_asked_for_when_the_window_opens(
    worker_on: WorkerOn, provider: Simulator, clocks: Clocks
) -> None:
    phone = new_phone()
    async with worker_on(CGB_RECIPIENT_GAP="300") as harness:
        clocks.show("08:59:56")
        waiting = await harness.start(to=phone, message="later", inOrder=True, sendWindow=BY_DAY)
        await until(lambda: says(harness, waiting, "Waits until 09:00"))
        assert (await harness.send(to=phone, message="now", inOrder=True)).outcome == "accepted"
        assert (await end_of(harness, waiting)).outcome == "accepted"
    assert [m["text"] for m in await provider.inbox(phone)] == ["now", "later"]


async def test_a_send_waits_for_its_window_while_no_worker_runs(
    worker_on: WorkerOn, provider: Simulator, clocks: Clocks, settings_for: Any
) -> None:
    settings = settings_for()
    fields = {"CGB_API_URL": settings.api_url, "TEMPORAL_TASK_QUEUE": settings.task_queue}
    async with worker_on(**fields) as harness:
        opens_at = clocks.show("08:59:57") + timedelta(seconds=3)
        run = await harness.start(message="x", sendWindow=BY_DAY)
        await until(lambda: says(harness, run, "Waits until 09:00"))
    await until(lambda: datetime.now(UTC) > opens_at + timedelta(seconds=1))
    async with worker_on(**fields) as harness:
        assert (await end_of(harness, run)).outcome == "accepted"
    assert len(await provider.inbox()) == 1


async def test_a_number_that_is_wrong_fails_at_once(
    worker_on: WorkerOn, provider: Simulator, clocks: Clocks
) -> None:
    async with worker_on() as harness:
        clocks.show("08:00:00")
        assert error_type(await harness.send(to="+0", message="x", sendWindow=BY_DAY)) == (
            "InvalidPhoneNumber"
        )
