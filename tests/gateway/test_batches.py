"""Batches over HTTP: begun, followed, steered and reported on a real socket."""

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from temporalio.client import Client

from send_whatsapp.gateway.tokens import Tokens
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import SendHarness, new_phone, until
from tests.gateway.conftest import PROBLEM, gateway


@pytest.fixture
async def http(client: Client, harness: SendHarness) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway(client, harness.task_queue) as opened:
        yield opened


def batch(rows: list[Any] | None = None, **fields: Any) -> dict[str, Any]:
    if rows is None:
        rows = [{"to": new_phone(), "variables": {"name": f"P{n}"}} for n in range(5)]
    return {"key": f"b/{uuid.uuid4()}", "template": "visa_approved", "rows": rows, **fields}


async def closed(http: httpx.AsyncClient, url: str) -> dict[str, Any]:
    async def ended() -> bool:
        return bool((await http.get(url)).json()["status"] != "running")

    await until(ended, within_s=60)
    return dict((await http.get(url)).json())


async def test_a_batch_is_sent_and_reported(http: httpx.AsyncClient, provider: Simulator) -> None:
    asked = batch()
    asked["rows"][1] |= {"template": None, "message": "own words"}
    begun = await http.post("/v1/batches", json=asked)
    assert begun.status_code == 202
    assert begun.json()["total"] == 5
    url = begun.json()["statusUrl"]
    assert begun.headers["location"] == url == f"/v1/batches/{quote(asked['key'], safe='')}"
    found = await closed(http, url)
    assert (found["status"], found["accepted"], found["key"]) == ("accepted", 5, asked["key"])
    report = (await http.get(f"{url}/report")).json()["rows"]
    assert [row["row"] for row in report] == [1, 2, 3, 4, 5]
    assert {row["outcome"] for row in report} == {"accepted"}
    again = await http.post("/v1/batches", json=asked)
    assert again.status_code == 202
    assert len(await provider.inbox()) == 5


async def test_a_batch_is_paused_resumed_and_cancelled(
    http: httpx.AsyncClient, provider: Simulator
) -> None:
    await provider.faults(Fault(route="send_*", status=429, headers={"retry-after": "60"}))
    url = (await http.post("/v1/batches", json=batch())).json()["statusUrl"]
    paused = await http.post(f"{url}/pause")
    assert (paused.status_code, paused.json()["paused"]) == (200, True)
    assert (await http.post(f"{url}/resume")).json()["paused"] is False
    assert (await http.post(f"{url}/cancel")).status_code == 202
    # Where a cancel meets the answer of an attempt, its row is unknown (ADR 0002); none is sent.
    told = await closed(http, url)
    assert told["cancelled"] + told["unknown"] == 5
    assert not await provider.inbox()
    late = await http.post(f"{url}/pause")
    assert late.status_code == 409
    assert late.headers["content-type"] == PROBLEM


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"rows": []}, "rows"),
        ({"rows": [{"to": "+1234567890"}, {"to": "+1 (234) 567-890"}]}, "rows.1.to"),
        ({"rows": [{"to": "+1234567890"}, {"to": "abc"}]}, "rows.1"),
        ({"rows": [{"to": "+1234567890", "colour": "red"}]}, "rows.0.colour"),
        ({"rows": [{"to": "+1234567890"}], "template": None}, "rows.0"),
        ({"colour": "red"}, "colour"),
        ({"key": ""}, "key"),
        ({"perMinute": 0}, "perMinute"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_is_sent(
    http: httpx.AsyncClient, provider: Simulator, fields: dict[str, Any], field: str
) -> None:
    refused = await http.post("/v1/batches", json=batch() | fields)
    assert refused.status_code == 422
    assert refused.headers["content-type"] == PROBLEM
    assert field in {error["field"] for error in refused.json()["errors"]}
    assert "red" not in refused.text
    assert not await provider.inbox()


async def test_other_rows_under_a_running_key_are_409(
    http: httpx.AsyncClient, provider: Simulator
) -> None:
    await provider.faults(Fault(route="send_*", status=429, headers={"retry-after": "60"}))
    asked = batch()
    url = (await http.post("/v1/batches", json=asked)).json()["statusUrl"]
    assert (await http.post("/v1/batches", json=asked)).status_code == 202
    other = await http.post("/v1/batches", json=batch() | {"key": asked["key"]})
    assert other.status_code == 409
    await http.post(f"{url}/cancel")
    await closed(http, url)


async def test_guards_of_the_gateway_hold_for_batches(client: Client, harness: SendHarness) -> None:
    tokens = Tokens({"crm": "a-long-random-token"}, None)
    async with gateway(client, harness.task_queue, tokens) as http:
        assert (await http.post("/v1/batches", json=batch())).status_code == 401
        headers = {"Authorization": "Bearer a-long-random-token"}
        for path in ("/v1/batches/none", "/v1/batches/none/report"):
            missing = await http.get(path, headers=headers)
            assert (missing.status_code, missing.headers["content-type"]) == (404, PROBLEM)
        assert (await http.post("/v1/batches/none/pause", headers=headers)).status_code == 404
        large = await http.post("/v1/batches", json=batch([{"to": "x" * 70_000}]), headers=headers)
        assert large.status_code == 413
        text = await http.post("/v1/batches", content=json.dumps(batch()), headers=headers)
        assert text.status_code == 415
