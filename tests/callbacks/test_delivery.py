"""The delivery of one event: attempts until the receiver has it, under one id."""

import itertools
import re
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.callbacks import ATTEMPTS, RETRY_DELAYS_S, CallbackActivities
from send_whatsapp.callbacks.receivers import Receivers
from send_whatsapp.contract import names
from send_whatsapp.contract.callback import CallbackEvent, message_event
from send_whatsapp.contract.result import SendWhatsAppResult
from send_whatsapp.settings import WorkerSettings
from tests.callbacks.conftest import FileOf
from tests.conftest import until
from tools.callback_receiver import Receiver, running
from worker_callbacks import build_callback_workers, declared_callbacks

QUICK = [0.05] * len(RETRY_DELAYS_S)


class Delivery:
    """A worker of callbacks on a task queue of its own."""

    def __init__(self, client: Client, settings: WorkerSettings) -> None:
        self.client, self.task_queue = client, settings.task_queue

    async def start(self, callback: str = "shop") -> WorkflowHandle[Any, Any]:
        event = an_event(callback)
        return await self.client.start_workflow(
            names.CALLBACK_WORKFLOW,
            event,
            id=event.workflow_id,
            task_queue=names.callback_task_queue(self.task_queue),
        )


def an_event(callback: str = "shop") -> CallbackEvent:
    result = SendWhatsAppResult(contact_id="4711")
    return message_event(
        callback, "order-1", str(uuid.uuid4()), "accepted", result, datetime.now(UTC)
    )


@asynccontextmanager
async def delivering(
    client: Client,
    files: dict[str, str],
    delays_s: Sequence[float] = QUICK,
    timeout_s: float = 2,
    task_queue: str | None = None,
) -> AsyncIterator[Delivery]:
    queue = task_queue or f"test-{uuid.uuid4()}"
    settings = WorkerSettings.load({"CGB_API_KEY": "key", "TEMPORAL_TASK_QUEUE": queue} | files)
    async with Receivers(allow_private=True, timeout_s=timeout_s) as receivers:
        activities = CallbackActivities(declared_callbacks(settings), receivers, delays_s)
        [worker] = build_callback_workers(client, settings, activities)
        async with worker:
            yield Delivery(client, settings)


def test_the_table_of_attempts_takes_up_to_24_hours() -> None:
    assert RETRY_DELAYS_S[:7] == (5, 30, 2 * 60, 10 * 60, 30 * 60, 3600, 3600)
    total = sum(RETRY_DELAYS_S)
    assert total <= 24 * 3600 < total + 3600
    assert len(RETRY_DELAYS_S) == ATTEMPTS - 1


@pytest.mark.parametrize("attempt", range(1, ATTEMPTS + 1))
async def test_each_failed_attempt_says_when_the_next_one_follows(
    receiver: Receiver, file_of: FileOf, attempt: int
) -> None:
    settings = WorkerSettings.load({"CGB_API_KEY": "key"} | file_of(shop=receiver.url))
    receiver.answer(503)
    environment = ActivityEnvironment()
    environment.info = replace(ActivityEnvironment.default_info(), attempt=attempt)
    async with Receivers(allow_private=True) as receivers:
        activities = CallbackActivities(declared_callbacks(settings), receivers)
        with pytest.raises(ApplicationError) as failed:
            await environment.run(activities.deliver_event, an_event())
    delays = [*(timedelta(seconds=seconds) for seconds in RETRY_DELAYS_S), None]
    assert failed.value.next_retry_delay == delays[attempt - 1]
    assert failed.value.message == "The receiver answered 503"


async def test_the_server_waits_as_long_as_the_table_says(
    client: Client, receiver: Receiver, file_of: FileOf
) -> None:
    receiver.answer(500)
    async with delivering(client, file_of(shop=receiver.url), RETRY_DELAYS_S) as delivery:
        handle = await delivery.start()
        await handle.result()
    first, second = receiver.calls
    assert 5 <= second.at - first.at < 15


async def test_everything_but_a_2xx_and_a_410_is_tried_again_under_the_same_id(
    client: Client, receiver: Receiver, file_of: FileOf
) -> None:
    statuses = [301, 302, 307, 400, 401, 403, 404, 408, 422, 429, 500, 502, 503]
    receiver.answer(*statuses, headers=f"location: {receiver.url}\r\n")
    async with delivering(client, file_of(shop=receiver.url)) as delivery:
        handle = await delivery.start()
        assert await handle.result() == 200
    assert len(receiver.calls) == len(statuses) + 1
    assert list(receiver.by_id) == [handle.id.partition("·")[2]]
    assert len({call.body for call in receiver.calls}) == 1
    assert all(call.event for call in receiver.calls)


async def test_an_event_goes_out_again_until_a_receiver_that_was_down_is_back(
    client: Client, file_of: FileOf
) -> None:
    receiver = Receiver()
    async with delivering(client, file_of(shop=receiver.url)) as delivery:
        handle = await delivery.start()

        async def has_failed_often() -> bool:
            pending = (await handle.describe()).raw_description.pending_activities
            return bool(pending and pending[0].attempt > 10)

        await until(has_failed_often)
        async with running(receiver):
            assert await handle.result() == 200
    assert len(receiver.calls) == 1


async def test_a_slow_receiver_gets_the_event_again(
    client: Client, receiver: Receiver, file_of: FileOf
) -> None:
    receiver.delay_s = 5
    async with delivering(client, file_of(shop=receiver.url), timeout_s=0.3) as delivery:
        handle = await delivery.start()
        await until(lambda: len(receiver.calls) >= 2)
        receiver.delay_s = 0
        assert await handle.result() == 200
    assert len(receiver.by_id) == 1


async def test_a_410_stops_the_event_for_good(
    client: Client, receiver: Receiver, file_of: FileOf
) -> None:
    receiver.answer(500, 410)
    async with delivering(client, file_of(shop=receiver.url)) as delivery:
        handle = await delivery.start()
        error = await failure(handle)
    assert error.type == "CallbackGone"
    assert len(receiver.calls) == 2


async def test_an_event_that_nobody_takes_is_given_up_after_the_last_attempt(
    client: Client, receiver: Receiver, file_of: FileOf
) -> None:
    receiver.answer(*itertools.repeat(500, ATTEMPTS + 5))
    async with delivering(client, file_of(shop=receiver.url)) as delivery:
        error = await failure(await delivery.start())
    assert error.type == "CallbackNotDelivered"
    assert re.match(
        r"The receiver answered 500, .* callback replay [0-9a-f-]+-accepted", error.message
    )
    assert len(receiver.calls) == ATTEMPTS


async def failure(handle: WorkflowHandle[Any, Any]) -> ApplicationError:
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    assert isinstance(failed.value.cause, ApplicationError)
    return failed.value.cause


async def test_a_worker_that_lacks_the_callback_leaves_the_event_to_others(
    client: Client, receiver: Receiver, file_of: FileOf
) -> None:
    files = file_of(crm=receiver.url)
    async with delivering(client, files) as delivery:
        handle = await delivery.start()

        async def has_failed() -> bool:
            pending = (await handle.describe()).raw_description.pending_activities
            return bool(pending and pending[0].attempt > 1)

        await until(has_failed)
    files = file_of(shop=receiver.url)
    async with delivering(client, files, task_queue=delivery.task_queue):
        assert await handle.result() == 200
    assert len(receiver.calls) == 1


async def test_a_failure_shows_neither_the_url_nor_the_person(
    client: Client, file_of: FileOf
) -> None:
    async with delivering(client, file_of(shop="http://none.invalid/canary")) as delivery:
        handle = await delivery.start()

        async def last_failure() -> str:
            pending = (await handle.describe()).raw_description.pending_activities
            return str(pending[0].last_failure) if pending else ""

        await until(last_failure)
        shown = await last_failure()
        await handle.terminate()
    assert "cannot be reached" in shown
    assert "canary" not in shown
    assert "invalid" not in shown
    assert "4711" not in shown


@pytest.mark.parametrize(
    "given", [{}, {"id": "x y"}, None, [], {"id": "a", "callback": "shop", "type": "t"}]
)
async def test_a_callback_that_somebody_starts_with_a_wrong_input_fails_at_once(
    client: Client, receiver: Receiver, file_of: FileOf, given: object
) -> None:
    async with delivering(client, file_of(shop=receiver.url)) as delivery:
        handle = await client.start_workflow(
            names.CALLBACK_WORKFLOW,
            given,
            id=f"callback-{uuid.uuid4()}",
            task_queue=names.callback_task_queue(delivery.task_queue),
        )
        assert (await failure(handle)).type == "InvalidRequest"
