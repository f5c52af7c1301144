"""Batches over HTTP on a real socket: start, status, report, pause, resume and cancel."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from temporalio.client import Client

from send_whatsapp.contract.batch_body import BatchBody
from send_whatsapp.contract.send_window import SendWindow
from send_whatsapp.gateway.batch_rows import rows_of
from send_whatsapp.gateway.tokens import Tokens
from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import SendHarness, new_phone, until
from tests.gateway.conftest import PROBLEM, gateway


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
    body = batch()
    body["rows"][1] |= {"template": None, "message": "another message"}
    started = await http.post("/v1/batches", json=body)
    assert started.status_code == 202
    assert started.json()["total"] == 5
    url = started.json()["statusUrl"]
    assert started.headers["location"] == url == f"/v1/batches/{quote(body['key'], safe='')}"
    status = await closed(http, url)
    assert (status["status"], status["accepted"], status["key"]) == ("accepted", 5, body["key"])
    report = (await http.get(f"{url}/report")).json()["rows"]
    assert [row["row"] for row in report] == [1, 2, 3, 4, 5]
    assert {row["outcome"] for row in report} == {"accepted"}
    again = await http.post("/v1/batches", json=body)
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
    # If a cancel meets the answer of an attempt, the row is unknown (ADR 0002); none is sent.
    status = await closed(http, url)
    assert status["cancelled"] + status["unknown"] == 5
    assert not await provider.inbox()
    late = await http.post(f"{url}/pause")
    assert late.status_code == 409
    assert late.headers["content-type"] == PROBLEM


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"rows": []}, "rows"),
        ({"rows": [{"to": "+1234567890"}, {"to": "+1 (234) 567-890"}]}, "rows.1.to"),
        ({"rows": [{"to": "+1234567890"}, {"to": "abc"}]}, "rows.1.to"),
        ({"rows": [{"to": "+1234567890"}, {"to": "abc", "key": "a"}]}, "rows.1.to"),
        ({"rows": [{"to": "+1234567890\u00a0x", "key": "a"}]}, "rows.0.to"),
        ({"rows": [{"to": "+1234567890", "variables": {"name": ""}}]}, "rows.0.variables.name"),
        (
            {
                "template": None,
                "message": "Hi",
                "rows": [{"to": "+1234567890", "variables": {"name": "Ana"}}],
            },
            "rows.0.variables",
        ),
        (
            {
                "message": "Hi {name}",
                "rows": [{"to": "+1234567890", "variables": {"name": "Ana"}}],
            },
            "rows.0.message",
        ),
        ({"rows": [{"to": "+1234567890", "colour": "red"}]}, "rows.0.colour"),
        ({"rows": [{"to": "+1234567890"}], "template": None}, "rows.0"),
        ({"rows": [{"to": "+1234567890", "name": "red"}]}, "rows.0.name"),
        ({"rows": [{"to": "+1234567890", "delivery": "at_most_once"}]}, "rows.0.delivery"),
        ({"rows": [{"to": "+1234567890", "variables": ["red"]}]}, "rows.0.variables"),
        ({"rows": [{"to": "+1234567890", "variables": {"a": ""}}]}, "rows.0.variables.a"),
        ({"rows": [{"to": "+1234567890", "message": ""}]}, "rows.0.message"),
        ({"rows": [{"to": "+1234567890", "fileUrl": "http://red"}]}, "rows.0.fileUrl"),
        ({"rows": [{"to": "+1234567890", "fileUrl": "https://example.com"}]}, "rows.0.fileType"),
        ({"rows": [{"to": "+1234567890", "key": " "}]}, "rows.0.key"),
        ({"rows": [{"to": "+1234567890", "key": "line 2"}]}, "rows.0.key"),
        ({"key": "line 2"}, "key"),
        ({"message": "x" * 5000}, "message"),
        ({"template": None, "message": "x"}, "rows.4.variables"),
        ({"colour": "red"}, "colour"),
        ({"key": ""}, "key"),
        ({"perMinute": 0}, "perMinute"),
        ({"per_minute": 5}, "per_minute"),
        ({"rows": [{"to": "+1234567890", "file_url": "red"}]}, "rows.0.file_url"),
    ],
)
async def test_invalid_fields_are_named_and_nothing_is_sent(
    http: httpx.AsyncClient, provider: Simulator, fields: dict[str, Any], field: str
) -> None:
    refused = await http.post("/v1/batches", json=batch() | fields)
    assert refused.status_code == 422
    assert refused.headers["content-type"] == PROBLEM
    assert field in {error["field"] for error in refused.json()["errors"]}
    assert "red" not in refused.text
    assert not await provider.inbox()


@pytest.mark.parametrize(
    ("fields", "problem", "expected"),
    [
        ({"perMinute": 0}, "is too small", "1 to 1000000; leave it out for no limit"),
        ({"perMinute": -1}, "is too small", "1 to 1000000; leave it out for no limit"),
        ({"perMinute": 1_000_001}, "is too large", "1 to 1000000; leave it out for no limit"),
        ({"perMinute": 1.5}, "is not a whole number", "a whole number"),
        ({"perMinute": "60"}, "is not a whole number", "a whole number"),
        ({"perMinute": True}, "is not a whole number", "a whole number"),
        ({"pauseAfter": 0}, "is too small", "at least 1"),
        ({"pauseAfter": 250_001}, "is too large", "at most 250000"),
        ({"rows": []}, "is empty", "at least 1 entry"),
        ({"rows": {}}, "is not a list", "a list in [ ]"),
        ({"resendUnknown": 1}, "is not true or false", "true or false"),
        ({"delivery": "twice"}, "has an unknown value", "'at_least_once' or 'at_most_once'"),
        ({"message": "x" * 5000}, "is too long", "at most 4096 characters, got 5000"),
        (
            {"key": "x" * 101},
            "the key of a batch must have 1 to 100 characters",
            "a key such as jan-2027",
        ),
        (
            {"rows": [{"to": "+1234567890", "key": "x" * 201}]},
            "is too long",
            "at most 200 characters, got 201",
        ),
    ],
)
async def test_a_refusal_names_the_limit(
    http: httpx.AsyncClient, fields: dict[str, Any], problem: str, expected: str
) -> None:
    (found,) = (await http.post("/v1/batches", json=batch() | fields)).json()["errors"]
    assert (found["problem"], found["expected"]) == (problem, expected)


@pytest.mark.parametrize("per_minute", [None, 1, 1_000_000])
async def test_a_rate_in_the_limits_is_accepted(
    http: httpx.AsyncClient, per_minute: int | None
) -> None:
    body = batch([{"to": new_phone()}], perMinute=per_minute)
    started = await http.post("/v1/batches", json=body)
    assert started.status_code == 202
    url = started.json()["statusUrl"]
    # With one row a minute, the first one would wait.
    await http.post(f"{url}/cancel")
    await closed(http, url)


async def test_each_problem_of_a_row_is_named_by_its_field(http: httpx.AsyncClient) -> None:
    wrong = {
        "to": "abc",
        "variables": {"name": " ", "city": None, "ok": "x"},
        "fileType": "gif",
        "colour": "red",
    }
    answer = await http.post("/v1/batches", json=batch([{"to": new_phone()}, wrong]))
    assert {error["field"] for error in answer.json()["errors"]} == {
        *("rows.1.variables.name", "rows.1.variables.city", "rows.1.fileType", "rows.1.colour")
    }
    # The number is checked once the row has the right fields.
    wrong = {"to": "abc", "key": "k", "message": "Hi {name}", "variables": {"name": "x"}}
    answer = await http.post("/v1/batches", json=batch([{"to": new_phone()}, wrong]))
    assert {error["field"] for error in answer.json()["errors"]} == {"rows.1.to", "rows.1.message"}


async def test_the_counts_of_a_409_are_the_current_ones(
    http: httpx.AsyncClient, provider: Simulator
) -> None:
    started = await http.post("/v1/batches", json=batch())
    url = started.json()["statusUrl"]
    await closed(http, url)
    for command in ("pause", "resume", "cancel"):
        late = await http.post(f"{url}/{command}")
        assert late.status_code == 409
        assert "5 of 5: 5 accepted, 0 failed, 0 unknown" in late.json()["title"]


CONTENT_NAMES = ("to", "key", "message", "template", "fileUrl", "fileType", "variables", "delivery")


async def test_no_name_of_a_variable_changes_what_a_row_sends(
    http: httpx.AsyncClient, provider: Simulator
) -> None:
    variables = {name: f"a {name}" for name in (*CONTENT_NAMES, "name")}
    rows = [
        *({"to": new_phone(), "variables": {name: f"a {name}"}} for name in CONTENT_NAMES),
        {"to": new_phone(), "variables": variables},
    ]
    started = await http.post("/v1/batches", json=batch(rows))
    assert started.status_code == 202
    assert (await closed(http, started.json()["statusUrl"]))["accepted"] == len(rows)
    sent = {message["phone"]: message for message in await provider.inbox()}
    assert [sent[row["to"]]["kind"] for row in rows] == ["flow"] * len(rows)
    assert sent[rows[-1]["to"]]["text"] == "Dear a name, your visa is approved."


@pytest.mark.parametrize(
    ("row", "fields"),
    [
        ({}, {"message": "m", "template": "t", "variables": {"a": 1, "b": 2}}),
        ({"message": None, "variables": None}, {"message": "m", "template": "t"}),
        ({"message": "own"}, {"message": "own", "template": "t", "variables": {"a": 1, "b": 2}}),
        ({"variables": {"b": "own"}}, {"variables": {"a": 1, "b": "own"}, "message": "m"}),
        (
            {"variables": {"message": "x", "fileUrl": "y", "key": "z"}},
            {
                "message": "m",
                "variables": {"a": 1, "b": 2, "message": "x", "fileUrl": "y", "key": "z"},
            },
        ),
        (
            {"fileUrl": "https://example.com/a.pdf", "fileType": "document"},
            {"message": None, "template": None, "variables": None, "file_type": "document"},
        ),
    ],
)
def test_a_row_adds_to_the_common_content_or_replaces_it(
    row: dict[str, Any], fields: dict[str, Any]
) -> None:
    common = {"message": "m", "template": "t", "variables": {"a": 1, "b": 2}}
    others = {"delivery": "at_most_once", "inOrder": True, "expiresAt": "2027-01-31T09:00:00Z"}
    others |= {"sendWindow": {"from": "09:00", "to": "20:00"}}
    body = batch([{"to": "(123) 456-7890"} | row]) | common | others
    (made,) = rows_of(BatchBody.model_validate_json(json.dumps(body)), "US")
    assert (made.row, made.key) == (1, f"{body['key']}/+1234567890")
    assert made.request.delivery == "at_most_once"
    assert made.request.in_order
    assert made.request.send_window == SendWindow(from_="09:00", to="20:00")
    assert made.request.expires_at == datetime(2027, 1, 31, 9, tzinfo=UTC)
    assert {name: getattr(made.request, name) for name in fields} == fields


async def test_other_rows_under_the_key_of_a_running_batch_are_refused(
    http: httpx.AsyncClient, provider: Simulator
) -> None:
    await provider.faults(Fault(route="send_*", status=429, headers={"retry-after": "60"}))
    body = batch()
    url = (await http.post("/v1/batches", json=body)).json()["statusUrl"]
    assert (await http.post("/v1/batches", json=body)).status_code == 202
    other = await http.post("/v1/batches", json=batch() | {"key": body["key"]})
    assert other.status_code == 409
    await http.post(f"{url}/cancel")
    await closed(http, url)


async def test_tokens_and_limits_apply_to_batches(client: Client, harness: SendHarness) -> None:
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
