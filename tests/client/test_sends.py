"""The Python client: one key sends one message; cancel, resend and state."""

import asyncio
import uuid

import pytest

from send_whatsapp.client import descriptions, sends
from send_whatsapp.client.errors import (
    DeliveryUnknown,
    KeyConflict,
    NotFound,
    OutcomeUnknown,
    SendFailed,
)
from send_whatsapp.client.state import get_state
from send_whatsapp.contract.names import InvalidKey
from send_whatsapp.contract.request import SendWhatsAppRequest
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import SendHarness, cancel, new_phone, until

# Leaves enough time between two attempts for what a test does to the run.
LATER = {"retry-after": "60"}


def key() -> str:
    return f"order-{uuid.uuid4()}"


async def test_many_starts_with_one_key_send_one_message(
    harness: SendHarness, provider: Simulator
) -> None:
    phone, one = new_phone(), key()
    request = SendWhatsAppRequest(to=phone, message="x")

    async def start() -> str:
        result = await sends.send(harness.client, request, key=one, task_queue=harness.task_queue)
        return result.model_dump_json()

    results = await asyncio.gather(*(start() for _ in range(50)))
    assert len(set(results)) == 1
    assert len(await provider.inbox(phone)) == 1


async def test_another_request_under_the_same_key_is_refused(
    harness: SendHarness, provider: Simulator
) -> None:
    one = key()
    phone = new_phone()
    await harness.send(one, to=phone, message="x")
    with pytest.raises(KeyConflict, match="another request"):
        await harness.start(one, to=phone, message="y")
    assert len(await provider.inbox(phone)) == 1


async def test_a_failed_run_may_start_again_under_its_key(
    harness: SendHarness, provider: Simulator
) -> None:
    one, phone = key(), new_phone()
    await provider.faults(Fault(route="send_text", status=400, times=1))
    assert (await harness.send(one, to=phone, message="x")).outcome == "failed"
    assert (await harness.send(one, to=phone, message="x")).outcome == "accepted"
    assert len(await provider.inbox(phone)) == 1


async def test_an_unknown_run_starts_again_only_with_force(
    harness: SendHarness, provider: Simulator
) -> None:
    one, phone = key(), new_phone()
    await provider.faults(Fault(route="send_text", kind="cut", effect=True, times=1))
    request = SendWhatsAppRequest(to=phone, message="x", delivery="at_most_once")
    with pytest.raises(DeliveryUnknown) as unknown:
        await sends.send(harness.client, request, key=one, task_queue=harness.task_queue)
    assert unknown.value.result.success is False
    with pytest.raises(OutcomeUnknown, match="with `force`"):
        await sends.start_send(harness.client, request, key=one, task_queue=harness.task_queue)
    forced = await sends.start_send(
        harness.client, request, key=one, force=True, task_queue=harness.task_queue
    )
    assert (await sends.get_result(harness.client, forced.id)).success
    described = await harness.client.get_workflow_handle(one).describe()
    assert descriptions.FORCED_MEMO in await described.memo()
    assert len(await provider.inbox(phone)) == 2


async def test_a_terminated_run_counts_as_unknown_for_its_key(
    harness: SendHarness, provider: Simulator
) -> None:
    one, phone = key(), new_phone()
    await provider.faults(Fault(route="send_text", status=503, headers=LATER))
    await harness.start(one, to=phone, message="x")
    await until(lambda: _has_requests(provider, "send_text"))
    await harness.client.get_workflow_handle(one).terminate()
    state = await get_state(harness.client, one)
    assert (state.status, state.outcome) == ("Terminated", "unknown")
    with pytest.raises(OutcomeUnknown):
        await harness.start(one, to=phone, message="x")


async def test_a_run_terminated_before_its_send_failed_and_starts_again_only_with_force(
    harness: SendHarness, provider: Simulator
) -> None:
    one, phone = key(), new_phone()
    await provider.faults(Fault(route="find_contact", status=503, headers=LATER))
    await harness.start(one, to=phone, message="x")
    await until(lambda: _has_requests(provider, "find_contact"))
    await harness.client.get_workflow_handle(one).terminate()
    state = await get_state(harness.client, one)
    assert (state.status, state.outcome) == ("Terminated", "failed")
    with pytest.raises(OutcomeUnknown, match=r"nothing was sent: .* with `force`"):
        await harness.start(one, to=phone, message="x")


async def test_resend_makes_a_new_run_that_names_the_old_one(
    harness: SendHarness, provider: Simulator
) -> None:
    one, phone = key(), new_phone()
    await harness.send(one, to=phone, message="x")
    with pytest.raises(KeyConflict, match="--force"):
        await sends.resend(harness.client, one, task_queue=harness.task_queue)
    again = await sends.resend(harness.client, one, force=True, task_queue=harness.task_queue)
    assert again.id != one
    assert (await sends.get_result(harness.client, again.id)).success
    described = await harness.client.get_workflow_handle(again.id).describe()
    assert (await described.memo())[descriptions.RESEND_MEMO]["id"] == one
    assert len(await provider.inbox(phone)) == 2


async def test_a_running_or_invalid_run_cannot_be_resent(
    harness: SendHarness, provider: Simulator
) -> None:
    one = key()
    await provider.faults(Fault(route="find_contact", status=503, headers=LATER, times=1))
    await harness.start(one, message="x")
    with pytest.raises(KeyConflict, match="still running"):
        await sends.resend(harness.client, one)
    handle = await harness.client.start_workflow(
        "SendWhatsApp", {}, id=key(), task_queue=harness.task_queue
    )
    await get_state(harness.client, handle.id, wait=True)
    with pytest.raises(KeyConflict, match="was invalid"):
        await sends.resend(harness.client, handle.id)
    with pytest.raises(KeyConflict, match="another request"):
        await harness.start(handle.id, message="x")


async def test_cancel_before_the_send_is_cancelled(
    harness: SendHarness, provider: Simulator
) -> None:
    await provider.faults(Fault(route="find_contact", status=503, headers=LATER))
    started = await harness.start(message="x")
    state = await cancel(harness.client, started.id)
    assert (state.status, state.outcome) == ("Canceled", "cancelled")
    assert not await provider.inbox()


async def test_cancel_while_a_send_is_in_flight_waits_for_its_answer(
    harness: SendHarness, provider: Simulator
) -> None:
    phone = new_phone()
    await provider.faults(
        Fault(route="send_text", status=200, body="{}", effect=True, delay_ms=500)
    )
    started = await harness.start(to=phone, message="x", template=None)
    await until(lambda: _has_requests(provider, "send_text"))
    state = await cancel(harness.client, started.id)
    assert (state.status, state.outcome) == ("Completed", "accepted")
    assert len(await provider.inbox(phone)) == 1


async def test_cancel_while_a_proven_unsent_send_waits_is_cancelled(
    harness: SendHarness, provider: Simulator
) -> None:
    await provider.faults(Fault(route="send_text", status=429, headers={"retry-after": "60"}))
    started = await harness.start(message="x")
    await until(lambda: _pending_attempt(harness, started.id, 2))
    state = await cancel(harness.client, started.id)
    assert (state.status, state.outcome) == ("Canceled", "cancelled")


async def test_cancel_after_an_ambiguous_attempt_is_unknown(
    harness: SendHarness, provider: Simulator
) -> None:
    await provider.faults(Fault(route="send_text", status=503, headers={"retry-after": "60"}))
    started = await harness.start(message="x")
    await until(lambda: _pending_attempt(harness, started.id, 2))
    state = await cancel(harness.client, started.id)
    assert (state.status, state.outcome) == ("Failed", "unknown")


async def test_cancel_of_a_closed_run_changes_nothing(harness: SendHarness) -> None:
    before = await harness.send(message="x")
    assert await cancel(harness.client, before.id) == before
    await sends.request_cancel(harness.client, before)


async def test_a_cancelled_run_never_falls_back_to_text(
    harness: SendHarness, provider: Simulator
) -> None:
    await provider.faults(Fault(route="list_flows", status=503, headers=LATER))
    started = await harness.start(template="visa approved", message="instead")
    await until(lambda: _has_requests(provider, "list_flows"))
    state = await cancel(harness.client, started.id)
    assert state.outcome == "cancelled"
    assert not await provider.inbox()


@pytest.mark.parametrize("bad", ["", " x", "x" * 201, "é", "a\nb"])
async def test_a_key_that_cannot_be_a_workflow_id_is_refused(
    harness: SendHarness, bad: str
) -> None:
    with pytest.raises(InvalidKey):
        await harness.start(bad, message="x")


async def test_an_unknown_id_is_not_found(harness: SendHarness) -> None:
    with pytest.raises(NotFound):
        await get_state(harness.client, key())


async def test_a_failed_send_raises_send_failed(harness: SendHarness) -> None:
    request = SendWhatsAppRequest(to="call me", message="x")
    with pytest.raises(SendFailed) as failed:
        await sends.send(harness.client, request, task_queue=harness.task_queue)
    assert failed.value.error.type == "InvalidPhoneNumber"
    assert failed.value.error.retryable is False


async def _has_requests(provider: Simulator, route: str) -> bool:
    return bool(await provider.requests(route))


async def _pending_attempt(harness: SendHarness, workflow_id: str, attempt: int) -> bool:
    described = await harness.client.get_workflow_handle(workflow_id).describe()
    pending = described.raw_description.pending_activities
    return any(a.activity_id == "send" and a.attempt == attempt for a in pending)
