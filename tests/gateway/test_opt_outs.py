"""Opt-outs over HTTP."""

from typing import Any
from urllib.parse import quote

import httpx
import pytest
from temporalio.client import Client

from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import new_phone, until
from tests.gateway.conftest import PROBLEM, gateway

WAIT = {"Prefer": "wait=20"}


async def tagged(provider: Simulator, phone: str) -> bool:
    return any(c["phone"] == phone and c["tags"] for c in await provider.all_contacts())


async def test_a_person_opts_out_and_in_again(http: httpx.AsyncClient, provider: Simulator) -> None:
    phone = new_phone()
    answer = await http.post("/v1/opt-outs", json={"to": phone}, headers=WAIT)
    assert (answer.status_code, answer.json()["status"]) == (200, "done")
    assert answer.json()["result"]["optedOut"] is True
    assert await tagged(provider, phone)
    answer = await http.delete(f"/v1/opt-outs/{quote(phone)}", headers=WAIT)
    assert answer.json()["result"]["unsubscribed"] is False
    assert not await tagged(provider, phone)


async def test_the_log_has_who_changed_an_opt_out(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gateway.audit")
    phone = new_phone()
    await http.post("/v1/opt-outs", json={"to": phone})
    await http.delete(f"/v1/opt-outs/{quote(phone)}")
    logged = [record for record in caplog.records if record.name == "gateway.audit"]
    assert [vars(record)["command"] for record in logged] == ["opt-out", "opt-in"]
    assert all(vars(record)["caller"] and vars(record)["run_id"] for record in logged)
    assert phone[1:] not in caplog.text


async def test_without_a_wait_it_answers_at_once(
    http: httpx.AsyncClient, provider: Simulator
) -> None:
    phone = new_phone()
    answer = await http.post("/v1/opt-outs", json={"to": phone})
    assert (answer.status_code, answer.json()["status"]) == (202, "running")
    await until(lambda: tagged(provider, phone))
    answer = await http.delete(f"/v1/opt-outs/{phone}")
    assert answer.status_code == 202


async def test_a_refusal_of_the_provider_is_reported(
    http: httpx.AsyncClient, provider: Simulator
) -> None:
    await provider.faults(Fault(route="add_tag", status=400))
    answer = await http.post("/v1/opt-outs", json={"to": new_phone()}, headers=WAIT)
    assert answer.json()["status"] == "failed"
    assert answer.json()["error"]["type"] == "ProviderRejected"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "to"),
        ({"to": "nobody"}, "to"),
        ({"to": 5}, "to"),
        ({"to": None}, "to"),
        ({"to": "+4930123456", "x": 1}, "x"),
        ([], "request"),
    ],
    ids=str,
)
async def test_a_wrong_body_is_refused_with_the_field(
    http: httpx.AsyncClient, provider: Simulator, body: Any, field: str
) -> None:
    answer = await http.post("/v1/opt-outs", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == PROBLEM
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert await provider.requests() == []


@pytest.mark.parametrize("number", ["nobody", "1", "%20", "+49301234567x"])
async def test_a_wrong_number_in_the_path_is_refused(http: httpx.AsyncClient, number: str) -> None:
    answer = await http.delete(f"/v1/opt-outs/{number}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == PROBLEM


async def test_a_send_is_refused_afterwards(client: Client, worker_on: Any) -> None:
    phone = new_phone()
    async with (
        worker_on(OPT_OUT="respect") as harness,
        gateway(client, harness.task_queue) as http,
    ):
        await http.post("/v1/opt-outs", json={"to": phone}, headers=WAIT)
        body = {"to": phone, "message": "x"}
        answer = await http.post("/v1/messages", json=body, headers=WAIT)
        assert answer.json()["result"]["error"]["type"] == "OptedOut"
        answer = await http.post("/v1/messages", json=body | {"ignoreOptOut": True}, headers=WAIT)
        assert answer.json()["status"] == "accepted"
        rows = [{"to": phone}, {"to": new_phone()}]
        batch: dict[str, Any] = {"key": phone[1:], "message": "x", "rows": rows}
        answer = await http.post("/v1/batches", json=batch)
        assert answer.status_code == 202

        async def ended() -> bool:
            counts = (await http.get(f"/v1/batches/{phone[1:]}")).json()
            return (counts["accepted"], counts["failed"]) == (1, 1)

        await until(ended)
        batch |= {"key": f"{phone[1:]}-2", "ignoreOptOut": True}
        await http.post("/v1/batches", json=batch)

        async def all_accepted() -> bool:
            return bool((await http.get(f"/v1/batches/{batch['key']}")).json()["accepted"] == 2)

        await until(all_accepted)
