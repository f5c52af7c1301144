"""Single messages over HTTP on a real socket: state, idempotency keys, waiting, cancelling."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from temporalio.client import Client

from send_whatsapp.client.errors import NotFound
from send_whatsapp.client.state import Started, State, get_state
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import SendHarness, WorkerOn, new_phone, until
from tests.gateway.conftest import PROBLEM, gateway, has_status, key, post

LATER = {"retry-after": "60"}


async def test_a_message_is_accepted_and_its_status_url_shows_the_result(
    http: httpx.AsyncClient, provider: Simulator
) -> None:
    phone = new_phone()
    answer = await post(http, to=phone)
    assert answer.status_code == 202
    body = answer.json()
    assert body["status"] == "running"
    assert set(body) == {"id", "status", "statusUrl", "uiUrl"}
    assert answer.headers["location"] == body["statusUrl"]
    assert body["uiUrl"].startswith("http://ui/namespaces/default/workflows/")
    await until(lambda: has_status(http, body["statusUrl"], "accepted"))
    found = (await http.get(body["statusUrl"])).json()
    assert found["result"]["to"] == phone
    assert len(await provider.inbox(phone)) == 1


async def test_prefer_wait_answers_with_the_result(http: httpx.AsyncClient) -> None:
    answer = await post(http, headers={"Prefer": "respond-async, wait=20"})
    assert answer.status_code == 200
    assert answer.json()["status"] == "accepted"
    assert answer.json()["result"]["success"] is True
    failed = await post(
        http, message=None, template="nothing like it", headers={"Prefer": "wait=20"}
    )
    assert failed.status_code == 200
    assert failed.json()["result"]["success"] is False
    assert failed.json()["result"]["error"]["type"] == "TemplateNotFound"


@pytest.mark.parametrize("to", ["call me", "4155552671.0", "2026-01-31", "0151 23456789", ""])
async def test_something_that_is_not_a_phone_number_is_refused_without_a_run(
    http: httpx.AsyncClient, harness: SendHarness, to: str
) -> None:
    one = key()
    refused = await post(http, to=to, headers={"Idempotency-Key": one})
    assert refused.status_code == 422
    [problem] = refused.json()["errors"]
    assert problem["field"] == "to"
    assert not to or to not in refused.text
    with pytest.raises(NotFound):
        await get_state(harness.client, one)


async def test_the_number_that_was_checked_is_the_one_that_is_sent_to(
    client: Client, worker_on: WorkerOn, provider: Simulator
) -> None:
    async with (
        worker_on(CGB_DEFAULT_REGION="US") as harness,
        gateway(client, harness.task_queue, CGB_DEFAULT_REGION="DE") as http,
    ):
        one = key()
        for notation in ("0151 23456789", "4915123456789", "+49 151 23456789"):
            headers = {"Idempotency-Key": one, "Prefer": "wait=20"}
            answer = await post(http, to=notation, headers=headers)
            assert answer.json()["result"]["to"] == "+4915123456789"
    assert [message["phone"] for message in await provider.inbox()] == ["+4915123456789"]


async def test_the_answer_is_running_if_the_wait_is_too_short(
    http: httpx.AsyncClient, provider: Simulator
) -> None:
    await provider.faults(Fault(route="find_contact", status=503, headers=LATER))
    answer = await post(http, headers={"Prefer": "wait=1"})
    assert (answer.status_code, answer.json()["status"]) == (202, "running")


@pytest.mark.parametrize("quoted", [False, True])
async def test_a_repeated_key_answers_with_the_existing_run(
    http: httpx.AsyncClient, provider: Simulator, quoted: bool
) -> None:
    one, phone = key(), new_phone()
    header = {"Idempotency-Key": f'"{one}"' if quoted else one}
    answers = await asyncio.gather(*(post(http, to=phone, headers=header) for _ in range(20)))
    assert {a.status_code for a in answers} == {202}
    assert {a.json()["id"] for a in answers} == {one}
    url = answers[0].json()["statusUrl"]
    await until(lambda: has_status(http, url, "accepted"))
    again = await post(http, to=phone, headers=header | {"Prefer": "wait=5"})
    assert (again.status_code, again.json()["status"]) == (200, "accepted")
    other = await post(http, to=phone, message="y", headers=header)
    assert other.status_code == 422
    assert other.headers["content-type"] == PROBLEM
    assert len(await provider.inbox(phone)) == 1


async def test_a_failed_key_starts_again_but_an_unknown_one_never_does(
    http: httpx.AsyncClient, provider: Simulator
) -> None:
    wait = {"Prefer": "wait=20"}
    phone = new_phone()
    failed = {"Idempotency-Key": key()} | wait
    await provider.faults(Fault(route="send_text", status=400, times=1))
    assert (await post(http, to=phone, headers=failed)).json()["status"] == "failed"
    assert (await post(http, to=phone, headers=failed)).json()["status"] == "accepted"
    unknown = {"Idempotency-Key": key()} | wait
    await provider.faults(Fault(route="send_text", kind="cut", times=1))
    fields = {"to": phone, "delivery": "at_most_once"}
    first = await post(http, headers=unknown, **fields)
    second = await post(http, headers=unknown, **fields)
    assert first.json() == second.json()
    assert second.json()["status"] == "unknown"
    assert second.status_code == 200
    assert len(await provider.inbox(phone)) == 1


async def test_delete_cancels_a_message_that_was_not_sent(
    http: httpx.AsyncClient, provider: Simulator
) -> None:
    await provider.faults(Fault(route="find_contact", status=503, headers=LATER))
    running = (await post(http)).json()
    cancelled = await http.delete(running["statusUrl"])
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    again = await http.delete(running["statusUrl"])
    assert again.status_code == 200
    await provider.faults()
    done = (await post(http, headers={"Prefer": "wait=20"})).json()
    late = await http.delete(done["statusUrl"])
    assert late.status_code == 409
    assert late.headers["content-type"] == PROBLEM


@pytest.mark.parametrize("bad", ["", '""', '"', '"a', '"a"b', "x" * 201, '"a\\b"', "\x7f"])
async def test_a_malformed_key_is_refused(http: httpx.AsyncClient, bad: str) -> None:
    answer = await post(http, headers={"Idempotency-Key": bad})
    assert (answer.status_code, answer.json()["status"]) == (400, 400)


async def test_several_keys_are_refused(http: httpx.AsyncClient) -> None:
    answer = await http.post(
        "/v1/messages",
        json={},
        headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")],
    )
    assert answer.status_code == 400


async def test_send_at_starts_later_and_can_be_cancelled_at_once(
    http: httpx.AsyncClient, provider: Simulator
) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    phone = new_phone()
    delayed = await post(http, to=phone, sendAt=soon, headers={"Prefer": "wait=1"})
    assert (delayed.status_code, delayed.json()["status"]) == (202, "running")
    far = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    later = (await post(http, sendAt=far)).json()
    cancelled = await http.delete(later["statusUrl"])
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    await until(lambda: has_status(http, delayed.json()["statusUrl"], "accepted"))
    assert [sent["phone"] for sent in await provider.inbox()] == [phone]


@pytest.mark.parametrize("field", ["sendAt", "expiresAt"])
async def test_the_last_possible_time_is_accepted_and_impossible_ones_are_refused(
    http: httpx.AsyncClient, field: str
) -> None:
    last = await post(http, **{field: "2199-12-31T23:59:59Z"})
    assert last.status_code == 202
    await http.delete(last.json()["statusUrl"])
    for impossible in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
        refused = await post(http, **{field: impossible})
        assert refused.status_code == 422
        (problem,) = refused.json()["errors"]
        assert problem == {
            "field": field,
            "problem": "is not a possible time",
            "expected": "a time from 2000 to 2199; leave the field out for no time",
        }


async def test_a_run_of_another_workflow_type_is_not_a_message(
    http: httpx.AsyncClient, client: Client, harness: SendHarness
) -> None:
    other = await client.start_workflow("Other", id=f"other-{uuid.uuid4()}", task_queue="nobody")
    assert (await http.get(f"/v1/messages/{other.id}")).status_code == 404
    refused = await post(http, headers={"Idempotency-Key": other.id})
    assert refused.status_code == 422
    await other.terminate()


def test_a_new_run_is_running() -> None:
    assert State.just_started(Started(id="a", run_id="b")).outcome == "running"
