"""SetOptOut: what changes at the provider, and what the run says."""

import asyncio
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle

from send_whatsapp.contract.names import SET_OPT_OUT_WORKFLOW
from send_whatsapp.contract.opt_out import SetOptOutRequest, SetOptOutResult
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import SendHarness, WorkerOn, error_type, new_phone, succeeded, until

Run = WorkflowHandle[Any, SetOptOutResult]


async def start(harness: SendHarness, phone: str, *, opted_out: bool = True) -> Run:
    return await harness.client.start_workflow(
        SET_OPT_OUT_WORKFLOW,
        SetOptOutRequest(to=phone, opted_out=opted_out),
        id=f"opt-out-{phone}-{opted_out}",
        task_queue=harness.task_queue,
        result_type=SetOptOutResult,
    )


async def tags_of(provider: Simulator, phone: str) -> list[str]:
    contacts = {contact["phone"]: contact for contact in await provider.all_contacts()}
    return [tag["name"] for tag in contacts[phone]["tags"]]


async def routes(provider: Simulator) -> list[str]:
    return [seen["route"] for seen in await provider.requests()]


async def test_the_tag_is_created_if_the_account_has_none(
    harness: SendHarness, provider: Simulator
) -> None:
    phone = new_phone()
    await provider.contacts(phone)
    result = await (await start(harness, phone)).result()
    assert result == SetOptOutResult(to=phone, opted_out=True, respected=False)
    assert await tags_of(provider, phone) == ["opt-out"]
    assert await routes(provider) == ["find_contact", "list_tags", "create_tag", "add_tag"]


async def test_a_tag_in_other_case_is_used(harness: SendHarness, provider: Simulator) -> None:
    phone = new_phone()
    await provider.change_contact(new_phone(), tags=["Opt-OUT"])
    await provider.contacts(phone)
    await (await start(harness, phone)).result()
    assert await tags_of(provider, phone) == ["Opt-OUT"]
    assert "create_tag" not in await routes(provider)


@pytest.mark.parametrize("opted_out", [True, False])
async def test_a_number_without_a_contact_gets_one(
    harness: SendHarness, provider: Simulator, opted_out: bool
) -> None:
    phone = new_phone()
    await (await start(harness, phone, opted_out=opted_out)).result()
    assert await tags_of(provider, phone) == (["opt-out"] if opted_out else [])


@pytest.mark.parametrize(("subscribed", "unsubscribed"), [(1, False), (2, True)])
async def test_an_opt_in_removes_the_tag_in_any_case_and_says_what_is_left(
    harness: SendHarness, provider: Simulator, subscribed: int, unsubscribed: bool
) -> None:
    phone = new_phone()
    tags = ["vip", "opt-out", "OPT-OUT"]
    await provider.change_contact(phone, subscribed=subscribed, tags=tags)
    result = await (await start(harness, phone, opted_out=False)).result()
    assert (result.opted_out, result.unsubscribed) == (False, unsubscribed)
    assert await tags_of(provider, phone) == ["vip"]


async def test_a_change_counts_for_the_next_send_of_its_worker(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    phone = new_phone()
    async with worker_on(OPT_OUT="respect", OPT_OUT_TAG="STOP") as harness:
        assert succeeded(await harness.send(to=phone, message="x"))
        result = await (await start(harness, phone)).result()
        assert result.respected
        assert error_type(await harness.send(to=phone, message="x")) == "OptedOut"
        await (await start(harness, phone, opted_out=False)).result()
        assert succeeded(await harness.send(to=phone, message="x"))


@pytest.mark.parametrize(
    "route", ["find_contact", "list_tags", "create_tag", "add_tag", "get_contact", "remove_tag"]
)
@pytest.mark.parametrize("status", [503, 429])
async def test_a_provider_that_fails_is_tried_again(
    worker_on: WorkerOn, provider: Simulator, route: str, status: int
) -> None:
    phone = new_phone()
    opts_in = route in ("get_contact", "remove_tag")
    await provider.change_contact(phone, **({"tags": ["opt-out"]} if opts_in else {}))
    headers = {"retry-after": "1"}
    await provider.faults(Fault(route=route, status=status, headers=headers, times=1))
    async with worker_on(CGB_RETRY_ATTEMPTS="3") as harness:
        await (await start(harness, phone, opted_out=not opts_in)).result()
    assert await tags_of(provider, phone) == ([] if opts_in else ["opt-out"])


async def test_a_run_that_waits_for_the_provider_says_why(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    phone = new_phone()
    await provider.faults(Fault(route="add_tag", status=503))
    async with worker_on(CGB_RETRY_ATTEMPTS="20") as harness:
        run = await start(harness, phone)

        async def told() -> bool:
            pending = (await run.describe()).raw_description.pending_activities
            return any("Could not add the tag (HTTP 503" in p.last_failure.message for p in pending)

        await until(told)
        await provider.faults()
        await run.result()
    assert await tags_of(provider, phone) == ["opt-out"]


@pytest.mark.parametrize(
    ("fault", "type_"),
    [
        (Fault(route="add_tag", status=503), "ProviderUnavailable"),
        (Fault(route="add_tag", status=404), "ProviderRejected"),
        (Fault(route="add_tag", status=200, body={"success": False}), "ProviderRejected"),
        (Fault(route="list_tags", status=200, body="<html>"), "ProviderContract"),
        (Fault(route="create_tag", status=200, body={}), "ProviderContract"),
        (Fault(route="create_tag", status=401), "Unauthorized"),
    ],
    ids=["503", "404", "refused", "html", "no id", "401"],
)
async def test_a_provider_that_refuses_ends_the_run(
    harness: SendHarness, provider: Simulator, fault: Fault, type_: str
) -> None:
    phone = new_phone()
    await provider.faults(fault)
    with pytest.raises(WorkflowFailureError) as failed:
        await (await start(harness, phone)).result()
    cause = failed.value.cause
    assert getattr(cause, "type", None) == type_
    assert "the opt-out may be as before" in str(cause)
    assert phone[1:] not in str(cause)


@pytest.mark.parametrize(
    ("body", "type_"),
    [
        ({"to": "nobody", "optedOut": True}, "InvalidPhoneNumber"),
        ({"to": "+1234567890"}, "InvalidRequest"),
        ({"to": "+1234567890", "optedOut": "yes"}, "InvalidRequest"),
        ({"to": "+1234567890", "optedOut": True, "x": 1}, "InvalidRequest"),
        (None, "InvalidRequest"),
    ],
    ids=str,
)
async def test_a_wrong_input_ends_the_run(
    client: Client, harness: SendHarness, provider: Simulator, body: object, type_: str
) -> None:
    with pytest.raises(WorkflowFailureError) as failed:
        await client.execute_workflow(
            SET_OPT_OUT_WORKFLOW, body, id=new_phone(), task_queue=harness.task_queue
        )
    assert getattr(failed.value.cause, "type", None) == type_
    assert await provider.requests() == []


async def test_many_changes_at_once_all_arrive(harness: SendHarness, provider: Simulator) -> None:
    phones = [new_phone() for _ in range(10)]
    runs = [await start(harness, phone) for phone in phones]
    await asyncio.gather(*(run.result() for run in runs))
    assert [await tags_of(provider, phone) for phone in phones] == [["opt-out"]] * 10
