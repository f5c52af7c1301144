"""Sends on a real server: each way to be accepted, and each way to fail."""

from datetime import UTC, datetime, timedelta

import pytest

from send_whatsapp.client import sends
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import SendHarness, WorkerOn, error_type, new_phone, send_error, succeeded


async def test_a_text_arrives_once(harness: SendHarness, provider: Simulator) -> None:
    phone = new_phone()
    state = await harness.send(to=phone, message="Hello 👋")
    assert (state.status, state.outcome) == ("Completed", "accepted")
    result = succeeded(state)
    assert result.model_dump(by_alias=True, exclude={"timestamp"}) == {
        "success": True,
        "contactId": phone[1:],
        "messageId": None,
        "to": phone,
        "sentAs": "text",
        "flowId": None,
        "fallbackReason": None,
    }
    assert [m["text"] for m in await provider.inbox(phone)] == ["Hello 👋"]


async def test_a_new_contact_is_searched_twice_and_created(
    harness: SendHarness, provider: Simulator
) -> None:
    phone = new_phone()
    await harness.send(to=phone, message="one")
    await harness.send(to=phone, message="two")
    searched = [r["query"]["value"] for r in await provider.requests("find_contact")]
    assert searched == [phone, phone[1:]]
    created = [r["body"] for r in await provider.requests("create_contact")]
    assert created == [{"phone": phone, "first_name": f"Contact {phone[-4:]}"}]


async def test_a_contact_stored_under_its_digits_is_found(
    harness: SendHarness, provider: Simulator
) -> None:
    phone = new_phone()
    await provider.contacts(phone[1:])
    await harness.send(to=phone, message="x")
    assert not await provider.requests("create_contact")


async def test_every_request_carries_both_keys_and_a_correlation_id(
    harness: SendHarness, provider: Simulator
) -> None:
    state = await harness.send(message="x")
    for seen in await provider.requests():
        assert seen["headers"]["authorization"] == f"Bearer {provider.key}"
        assert seen["headers"]["x-access-token"] == provider.key
        assert seen["headers"]["x-correlation-id"] == state.run_id


async def test_variables_reach_the_flow_in_one_call(
    harness: SendHarness, provider: Simulator
) -> None:
    phone = new_phone()
    state = await harness.send(
        to=phone,
        template="visa_approved",
        variables={"name": "John\n Doe", "fallback_message": "x"},
    )
    result = succeeded(state)
    assert (result.sent_as, result.flow_id) == ("template", "1752250957765")
    inbox = await provider.inbox(phone)
    assert [m["text"] for m in inbox] == ["Dear John Doe, your visa is approved."]
    assert not await provider.requests("send_flow")


async def test_a_flow_without_variables_is_sent_by_its_own_call(
    harness: SendHarness, provider: Simulator
) -> None:
    await harness.send(template="document request")
    assert [r["body"] for r in await provider.requests("send_flow")] == [{}]


async def test_a_configured_flow_is_used_without_a_provider_call(
    worker_on: WorkerOn, provider: Simulator
) -> None:
    async with worker_on(CGB_TEMPLATE_REMINDER="1752250957768") as harness:
        state = await harness.send(template="reminder", variables={"date": "Monday"})
    assert succeeded(state).flow_id == "1752250957768"
    assert not await provider.requests("list_flows")


async def test_a_missing_template_falls_back_to_the_text(
    harness: SendHarness, provider: Simulator
) -> None:
    phone = new_phone()
    state = await harness.send(to=phone, template="thank you", message="Thanks!")
    result = succeeded(state)
    assert result.sent_as == "text"
    assert result.fallback_reason == "no flow matches the template"
    assert [m["text"] for m in await provider.inbox(phone)] == ["Thanks!"]


async def test_an_ambiguous_template_falls_back_and_lists_the_flows(harness: SendHarness) -> None:
    state = await harness.send(template="welcome", message="Hello")
    assert "Welcome new customer" in (succeeded(state).fallback_reason or "")


async def test_a_new_flow_is_found_although_the_list_is_cached(
    harness: SendHarness, provider: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.flows.REFRESH_INTERVAL_S", 0.0)
    assert (await harness.send(template="brand new")).outcome == "failed"
    await provider.flows([{"id": 5, "name": "Brand New", "text": "new"}])
    assert (await harness.send(template="brand new")).outcome == "accepted"


async def test_a_missing_template_refreshes_the_list_at_most_every_5_s(
    harness: SendHarness, provider: Simulator
) -> None:
    for _ in range(3):
        await harness.send(template="nothing like it")
    assert len(await provider.requests("list_flows")) == 1


@pytest.mark.parametrize(
    ("file_type", "sent"),
    [("document", "file"), ("image", "image"), ("video", "video"), ("audio", "audio")],
)
async def test_a_file_goes_out_byte_for_byte(
    harness: SendHarness, provider: Simulator, file_type: str, sent: str
) -> None:
    url = "https://example.com/b%C3%BCro%20(1).xyz?sig=a%2Bb=="
    state = await harness.send(fileUrl=url, fileType=file_type)
    assert succeeded(state).sent_as == "media"
    assert [(m["url"], m["type"]) for m in await provider.inbox()] == [(url, sent)]


@pytest.mark.parametrize(
    ("fields", "type_"),
    [
        ({"template": "nothing like it"}, "TemplateNotFound"),
        ({"to": "call me", "message": "x"}, "InvalidPhoneNumber"),
        ({"to": "+0123456789", "template": "visa approved"}, "InvalidPhoneNumber"),
    ],
)
async def test_an_invalid_request_fails_at_once(
    harness: SendHarness, provider: Simulator, fields: dict[str, str], type_: str
) -> None:
    state = await harness.send(**fields)
    assert (state.status, state.outcome) == ("Failed", "failed")
    assert error_type(state) == type_
    assert not await provider.inbox()
    if type_ == "InvalidPhoneNumber":
        assert not await provider.requests()


@pytest.mark.parametrize(
    ("route", "status", "body", "type_", "calls"),
    [
        ("find_contact", 401, None, "Unauthorized", 1),
        ("find_contact", 403, None, "Unauthorized", 1),
        ("find_contact", 400, None, "ProviderRejected", 1),
        ("find_contact", 200, "<html>", "ProviderContract", 1),
        ("find_contact", 302, None, "ProviderContract", 1),
        ("find_contact", 503, None, "ProviderUnavailable", 2),
        ("create_contact", 200, "{}", "ProviderContract", 1),
        ("create_contact", 422, None, "ProviderRejected", 1),
        ("send_text", 400, None, "ProviderRejected", 1),
        ("send_text", 404, None, "ProviderRejected", 1),
        ("send_text", 200, '{"success": false}', "ProviderRejected", 1),
        ("send_text", 403, None, "Unauthorized", 1),
        ("send_text", 200, "[]", "DeliveryUnknown", 1),
        ("send_text", 302, None, "DeliveryUnknown", 1),
        ("send_text", 503, None, "DeliveryUnknown", 2),
        ("send_text", 408, None, "DeliveryUnknown", 2),
        ("send_text", 200, '{"error": {"code": 500}}', "DeliveryUnknown", 2),
    ],
)
async def test_the_providers_answer_decides(
    harness: SendHarness,
    provider: Simulator,
    route: str,
    status: int,
    body: str | None,
    type_: str,
    calls: int,
) -> None:
    await provider.faults(Fault(route=route, status=status, body=body))
    state = await harness.send(message="x")
    assert error_type(state) == type_
    assert state.outcome == ("unknown" if type_ == "DeliveryUnknown" else "failed")
    assert len(await provider.requests(route)) == calls


async def test_a_failure_of_the_flow_list_is_not_a_missing_template(
    harness: SendHarness, provider: Simulator
) -> None:
    await provider.faults(Fault(route="list_flows", status=500))
    state = await harness.send(template="visa approved", message="instead")
    assert error_type(state) == "ProviderUnavailable"
    assert not await provider.inbox()


async def test_a_retry_brings_the_message_through(
    harness: SendHarness, provider: Simulator
) -> None:
    phone = new_phone()
    await provider.faults(Fault(route="send_text", status=503, times=1))
    assert (await harness.send(to=phone, message="x")).outcome == "accepted"
    assert len(await provider.inbox(phone)) == 1


async def test_a_rate_limit_is_waited_for(harness: SendHarness, provider: Simulator) -> None:
    await provider.faults(
        Fault(
            route="send_text",
            status=200,
            body={"error": {"code": 429}},
            headers={"retry-after": "1"},
            times=1,
        )
    )
    assert (await harness.send(message="x", delivery="at_most_once")).outcome == "accepted"


async def test_a_lasting_rate_limit_proves_that_nothing_was_sent(
    harness: SendHarness, provider: Simulator
) -> None:
    await provider.faults(Fault(route="send_text", status=429, headers={"retry-after": "0"}))
    state = await harness.send(message="x")
    error = send_error(state)
    assert (error.type, error.retryable) == ("RateLimited", True)


async def test_a_contact_that_the_provider_forgot_is_resolved_again(
    harness: SendHarness, provider: Simulator
) -> None:
    phone = new_phone()
    await harness.send(to=phone, message="x")
    await provider.faults(Fault(route="send_text", status=404, times=1))
    await harness.send(to=phone, message="x")
    before = len(await provider.requests("find_contact"))
    await harness.send(to=phone, message="x")
    assert len(await provider.requests("find_contact")) > before


async def test_concurrent_sends_to_a_new_phone_create_one_contact(
    harness: SendHarness, provider: Simulator
) -> None:
    phone = new_phone()
    runs = [await harness.start(to=phone, message=str(number)) for number in range(10)]
    for started in runs:
        await sends.get_result(harness.client, started.id)
    assert len(await provider.requests("create_contact")) == 1
    assert len(await provider.inbox(phone)) == 10


async def test_a_send_waits_for_its_time(harness: SendHarness) -> None:
    send_at = datetime.now(UTC) + timedelta(seconds=2)
    state = await harness.send(message="x", sendAt=send_at.isoformat())
    sent_at = datetime.fromisoformat(succeeded(state).timestamp or "")
    assert sent_at >= send_at.replace(microsecond=0)


async def test_the_workflow_waits_for_send_at_without_a_start_delay(harness: SendHarness) -> None:
    send_at = datetime.now(UTC) + timedelta(seconds=2)
    handle = await harness.client.start_workflow(
        "SendWhatsApp",
        {"to": new_phone(), "message": "x", "sendAt": send_at.isoformat()},
        id=new_phone()[1:],
        task_queue=harness.task_queue,
    )
    result = await handle.result()
    assert datetime.fromisoformat(result["timestamp"]) >= send_at.replace(microsecond=0)
