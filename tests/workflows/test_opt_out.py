"""A person who has opted out is not written to, however long the message has waited."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError

from send_whatsapp.contract.names import SEND_WORKFLOW
from send_whatsapp.contract.result import SendWhatsAppResult
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import (
    SendHarness,
    WorkerOn,
    error_type,
    new_phone,
    run_command,
    send_error,
    succeeded,
    until,
)
from tools.dev_server import DevServer

OPTED_OUT = [
    pytest.param({"subscribed": 2}, "unsubscribed", id="unsubscribed"),
    pytest.param({"tags": ["opt-out"]}, "the tag opt-out", id="tag"),
    pytest.param({"tags": ["vip", "OPT-Out"]}, "the tag opt-out", id="tag in other case"),
]
TAGGED: dict[str, Any] = {"tags": ["opt-out"]}


@pytest.fixture
async def harness(worker_on: WorkerOn) -> AsyncIterator[SendHarness]:
    """Return a worker that respects opt-outs."""
    async with worker_on(OPT_OUT="respect") as running:
        yield running


@pytest.fixture
async def asking(worker_on: WorkerOn) -> AsyncIterator[SendHarness]:
    """Return a worker that asks before every send."""
    async with worker_on(OPT_OUT="respect", OPT_OUT_CACHE="0") as running:
        yield running


async def routes(provider: Simulator) -> list[str]:
    return [seen["route"] for seen in await provider.requests()]


@pytest.mark.parametrize(("changes", "reason"), OPTED_OUT)
@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
async def test_nothing_is_sent_to_a_person_who_has_opted_out(
    harness: SendHarness,
    provider: Simulator,
    changes: dict[str, Any],
    reason: str,
    delivery: str,
) -> None:
    phone = new_phone()
    await provider.change_contact(phone, **changes)
    state = await harness.send(to=phone, message="x", delivery=delivery)
    assert (state.outcome, error_type(state)) == ("failed", "OptedOut")
    assert reason in send_error(state).message
    assert phone[1:] not in send_error(state).message
    assert await routes(provider) == ["find_contact"]


async def test_the_tag_can_have_another_name(worker_on: WorkerOn, provider: Simulator) -> None:
    phones = new_phone(), new_phone()
    await provider.change_contact(phones[0], tags=["STOP now"])
    await provider.change_contact(phones[1], tags=["opt-out"])
    async with worker_on(OPT_OUT="respect", OPT_OUT_TAG="stop NOW") as harness:
        assert error_type(await harness.send(to=phones[0], message="x")) == "OptedOut"
        assert succeeded(await harness.send(to=phones[1], message="x"))


async def test_opt_outs_are_respected_with_a_limit_on_requests(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    phones = new_phone(), new_phone()
    await provider.change_contact(phones[0], **TAGGED)
    limit = {"CGB_MAX_REQUESTS_PER_MINUTE": "60000", "OPT_OUT_CACHE": "0"}
    async with worker_on(OPT_OUT="respect", **limit) as harness:
        assert error_type(await harness.send(to=phones[0], message="x")) == "OptedOut"
        assert succeeded(await harness.send(to=phones[1], message="x"))


async def test_without_the_setting_everybody_is_written_to_and_no_call_is_added(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    phone = new_phone()
    await provider.change_contact(phone, subscribed=2, tags=["opt-out"])
    async with worker_on() as harness:
        assert succeeded(await harness.send(to=phone, message="x"))
    assert await routes(provider) == ["find_contact", "send_text"]


async def test_the_lookup_of_a_known_contact_answers_the_question_too(
    harness: SendHarness, provider: Simulator
) -> None:
    phone = new_phone()
    await provider.contacts(phone)
    for _ in range(2):
        assert succeeded(await harness.send(to=phone, message="x"))
    assert await routes(provider) == ["find_contact", "send_text", "send_text"]


async def test_a_new_contact_is_read_once(harness: SendHarness, provider: Simulator) -> None:
    phone = new_phone()
    for _ in range(2):
        assert succeeded(await harness.send(to=phone, message="x"))
    created = ["find_contact", "find_contact", "create_contact"]
    assert await routes(provider) == [*created, "get_contact", "send_text", "send_text"]


async def test_a_person_who_opts_out_between_two_sends_gets_only_the_first(
    asking: SendHarness, provider: Simulator
) -> None:
    phone = new_phone()
    await provider.contacts(phone)
    assert succeeded(await asking.send(to=phone, message="first"))
    await provider.change_contact(phone, **TAGGED)
    assert error_type(await asking.send(to=phone, message="second")) == "OptedOut"
    assert [message["text"] for message in await provider.inbox(phone)] == ["first"]


async def test_what_was_learned_counts_until_it_is_too_old(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    phone = new_phone()
    await provider.contacts(phone)
    async with worker_on(OPT_OUT="respect", OPT_OUT_CACHE="2") as harness:
        assert succeeded(await harness.send(to=phone, message="x"))
        await provider.change_contact(phone, subscribed=2)

        async def is_refused() -> bool:
            return (await harness.send(to=phone, message="x")).outcome == "failed"

        await until(is_refused)
        assert (await routes(provider)).count("get_contact") == 1
        await provider.change_contact(phone, subscribed=1)
        assert error_type(await harness.send(to=phone, message="x")) == "OptedOut"


async def test_a_person_may_opt_out_while_a_run_waits_for_its_time(
    client: Client, worker_on: WorkerOn, provider: Simulator
) -> None:
    phone = new_phone()
    await provider.contacts(phone)
    send_at = datetime.now(UTC) + timedelta(seconds=4)
    body = {"to": phone, "message": "x", "sendAt": send_at.isoformat()}
    async with worker_on(OPT_OUT="respect", OPT_OUT_CACHE="1") as harness:
        # Once the contact is in the cache, the run looks nothing up when its time comes.
        assert succeeded(await harness.send(to=phone, message="first"))
        run = await client.start_workflow(
            SEND_WORKFLOW,
            body,
            id=f"wait-{phone[1:]}",
            task_queue=harness.task_queue,
            result_type=SendWhatsAppResult,
        )
        await provider.change_contact(phone, **TAGGED)
        with pytest.raises(WorkflowFailureError) as failed:
            await run.result()
    assert getattr(failed.value.cause, "type", None) == "OptedOut"
    assert [message["text"] for message in await provider.inbox(phone)] == ["first"]


@pytest.mark.parametrize(
    ("status", "outcome", "type_"),
    [(429, "failed", "OptedOut"), (500, "unknown", "DeliveryUnknown")],
)
async def test_a_person_may_opt_out_before_the_next_attempt(
    asking: SendHarness, provider: Simulator, status: int, outcome: str, type_: str
) -> None:
    phone = new_phone()
    await provider.contacts(phone)
    fault = Fault(route="send_text", status=status, headers={"retry-after": "2"}, times=1)
    await provider.faults(fault)
    started = await asking.start(to=phone, message="x", key=None)

    async def was_tried() -> bool:
        return "send_text" in await routes(provider)

    await until(was_tried)
    await provider.change_contact(phone, **TAGGED)
    handle = asking.client.get_workflow_handle(started.id, run_id=started.run_id)
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    assert getattr(failed.value.cause, "type", None) == type_
    assert (await routes(provider)).count("send_text") == 1
    assert await provider.inbox(phone) == []


async def test_a_legal_notice_ignores_the_opt_out(asking: SendHarness, provider: Simulator) -> None:
    phone = new_phone()
    await provider.change_contact(phone, **TAGGED)
    started = await asking.start(to=phone, message="x", ignoreOptOut=True)
    handle = asking.client.get_workflow_handle(started.id)
    assert (await handle.result())["success"]
    details = await (await handle.describe()).static_details()
    assert "ignoreOptOut" in (details or "")
    assert await routes(provider) == ["find_contact", "send_text"]


@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
@pytest.mark.parametrize(
    ("fault", "type_"),
    [
        (Fault(route="get_contact", status=503, times=1), None),
        (Fault(route="get_contact", kind="cut", times=1), None),
        (Fault(route="get_contact", status=503), "ProviderUnavailable"),
        (Fault(route="get_contact", status=404), "ProviderRejected"),
        (Fault(route="get_contact", status=200, body={"id": ""}), "ProviderRejected"),
        (Fault(route="get_contact", status=200, body={"id": 1}), "ProviderContract"),
        (Fault(route="get_contact", status=200, body="<html>"), "ProviderContract"),
        (Fault(route="get_contact", status=401), "Unauthorized"),
    ],
    ids=["503 once", "cut once", "503", "404", "empty", "no state", "html", "401"],
)
async def test_nothing_is_sent_while_the_opt_out_is_not_known(
    asking: SendHarness, provider: Simulator, fault: Fault, type_: str | None, delivery: str
) -> None:
    phone = new_phone()
    await provider.contacts(phone)
    await provider.faults(fault)
    state = await asking.send(to=phone, message="x", delivery=delivery)
    if type_ is None:
        assert succeeded(state)
        assert len(await provider.inbox(phone)) == 1
    else:
        assert error_type(state) == type_
        assert "nothing was sent" in send_error(state).message.lower()
        assert await provider.inbox(phone) == []


def file_of(folder: Path, phones: list[str]) -> str:
    file = folder / "people.csv"
    file.write_text("\n".join(["to", *phones]))
    return str(file)


@pytest.mark.parametrize("cache", ["300", "0"])
async def test_rows_of_people_who_have_opted_out_fail_and_do_not_pause_the_batch(
    server: DevServer, worker_on: WorkerOn, provider: Simulator, tmp_path: Path, cache: str
) -> None:
    phones = [new_phone() for _ in range(8)]
    for phone in phones[1:-1]:
        await provider.change_contact(phone, **TAGGED)
    async with worker_on(OPT_OUT="respect", OPT_OUT_CACHE=cache) as harness:
        key = f"opt-{phones[0][1:]}"
        batch = ("batch", "send", file_of(tmp_path, phones), "--key", key, "--message", "x")
        on = {"address": server.address, "task_queue": harness.task_queue}
        done = await run_command(*batch, "--pause-after", "2", "--json", **on)
        assert done.code == 1
        assert (done.json["accepted"], done.json["failed"]) == (2, 6)
        report = await run_command("batch", "report", key, "--json", **on)
        assert [row["errorType"] for row in report.json] == [None, *["OptedOut"] * 6, None]
        ignoring = ("batch", "send", str(tmp_path / "people.csv"), "--key", f"{key}-2")
        done = await run_command(*ignoring, "--message", "x", "--ignore-opt-out", "--json", **on)
        assert done.json["accepted"] == 8
