"""Rows of a batch that are uploaded: read line by line, refused by line, and small in memory."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from temporalio.client import Client

from send_whatsapp.client.batches.packed_rows import PackedRows
from send_whatsapp.contract.batch import Row
from send_whatsapp.contract.batch_body import BatchOptions
from send_whatsapp.contract.names import batch_id
from send_whatsapp.contract.parts import split
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.gateway.upload.options import options_of
from simulator.process import Simulator
from tests.conftest import SendHarness, WorkerOn, new_phone
from tests.gateway.conftest import PROBLEM, GatewayProcess, gateway_process
from tests.gateway.test_batches import closed
from tests.gateway.test_reports import resident_mib
from tools.dev_server import DevServer

NDJSON, CSV = "application/x-ndjson", "text/csv"


@pytest.fixture
async def harness(worker_on: WorkerOn) -> AsyncIterator[SendHarness]:
    # Other tests upload many rows at the same time; no send may take too long because of that.
    async with worker_on(CGB_TIMEOUT="20000") as running:
        yield running


def url(key: str) -> str:
    return f"/v1/batches/{quote(key, safe='')}/rows"


async def upload(
    http: httpx.AsyncClient, content: Any, media_type: str = NDJSON, key: str = "", **query: str
) -> httpx.Response:
    key = key or f"u/{uuid.uuid4()}"
    headers = {"Content-Type": media_type}
    return await http.post(url(key), content=content, headers=headers, params=query, timeout=100)


def ndjson(*rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


async def test_uploaded_json_lines_are_sent_as_the_rows_of_a_body_are(
    http: httpx.AsyncClient, provider: Simulator
) -> None:
    rows: list[dict[str, Any]] = [
        {"to": new_phone(), "variables": {"name": "Ana"}},
        {"to": new_phone(), "variables": {"name": "Bob"}},
    ]
    content = b"\xef\xbb\xbf" + ndjson(rows[0]) + b"\r\n\n" + ndjson(rows[1]).strip()
    query = {"template": "visa_approved", "variables.country": "Spain", "delivery": "at_most_once"}
    started = await upload(http, content, key="k u/1", **query)
    assert started.status_code == 202
    assert started.json()["total"] == 2
    assert started.headers["location"] == started.json()["statusUrl"] == "/v1/batches/k%20u%2F1"
    assert (await closed(http, started.json()["statusUrl"]))["accepted"] == 2
    report = (await http.get(f"{started.json()['statusUrl']}/report")).json()["rows"]
    assert [(row["row"], row["to"]) for row in report] == [(1, rows[0]["to"]), (4, rows[1]["to"])]
    sent = {message["phone"]: message for message in await provider.inbox()}
    assert sent[rows[0]["to"]]["text"] == "Dear Ana, your visa is approved."
    assert sent[rows[1]["to"]]["text"] == "Dear Bob, your visa is approved."


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        *((name, "true", True) for name in ("inOrder", "ignoreOptOut", "resendUnknown")),
        *((name, "false", False) for name in ("inOrder", "ignoreOptOut", "resendUnknown")),
        *(("perMinute", "600", 600), ("pauseAfter", "3", 3)),
        *(("message", "Hello", "Hello"), ("template", "t", "t")),
        *(("fileUrl", "https://example.com/a.pdf", None), ("fileType", "document", None)),
        *(("delivery", "at_most_once", None), ("variables.a", "b", None)),
        *(("expiresAt", "2027-01-31T09:00:00Z", None), ("sendAt", "2027-01-31T09:00:00Z", None)),
        ("sendWindow.from", "09:00", None),
    ],
)
def test_every_field_of_a_batch_can_be_a_query_parameter(
    name: str, value: str, expected: object
) -> None:
    # A window needs both of its times.
    query = httpx.QueryParams(
        {name: value} | ({"sendWindow.to": "20:00"} if name == "sendWindow.from" else {})
    )
    options = options_of({"path": "/v1/batches/k/rows", "query_string": str(query).encode()})
    fields = options.model_dump(mode="json", by_alias=True)
    if name == "sendWindow.from":
        assert fields["sendWindow"] == {"from": "09:00", "to": "20:00", "zone": "recipient"}
    elif name.startswith("variables."):
        assert fields["variables"] == {name.removeprefix("variables."): value}
    else:
        assert fields[name] == (value if expected is None else expected)


def test_no_query_parameter_is_untested() -> None:
    [mark] = test_every_field_of_a_batch_can_be_a_query_parameter.pytestmark  # type: ignore[attr-defined]
    tested = {name.partition(".")[0] for name, *_ in mark.args[1]}
    assert tested == {field.alias for field in BatchOptions.model_fields.values()} - {"key"}


async def test_uploaded_rows_take_turns_if_the_query_says_so(
    http: httpx.AsyncClient, provider: Simulator
) -> None:
    phone = new_phone()
    rows = [{"to": phone, "key": f"{phone}-{n}", "message": str(n)} for n in range(3)]
    started = await upload(http, ndjson(*rows), inOrder="true")
    assert (await closed(http, started.json()["statusUrl"]))["accepted"] == 3
    sent = await provider.inbox(phone)
    assert [message["text"] for message in sent] == ["0", "1", "2"]
    assert min(later["at"] - earlier["at"] for earlier, later in pairwise(sent)) >= 2


@pytest.mark.parametrize("separator", [",", ";", "\t"])
async def test_uploaded_csv_is_sent_as_a_file_is(
    http: httpx.AsyncClient, provider: Simulator, separator: str
) -> None:
    phone = new_phone()
    lines = [["Key", "To", "name"], ["", "", ""], ["a", phone, '"Ana\n""X"""']]
    content = "\r\n".join(separator.join(line) for line in lines).encode()
    started = await upload(http, content, "text/csv; charset=utf-8", template="visa_approved")
    assert started.status_code == 202
    assert (await closed(http, started.json()["statusUrl"]))["accepted"] == 1
    (sent,) = await provider.inbox(phone)
    assert sent["text"] == 'Dear Ana "X", your visa is approved.'


@asynccontextmanager
async def nobody_sends(
    server: DevServer, folder: Path
) -> AsyncIterator[tuple[httpx.AsyncClient, GatewayProcess]]:
    """Run a gateway whose batches no worker takes."""
    async with gateway_process(
        folder, TEMPORAL_ADDRESS=server.address, TEMPORAL_TASK_QUEUE="nobody"
    ) as running:
        yield running.http, running


GOOD = {"to": "+1234567890", "message": "x"}


@pytest.mark.parametrize(
    ("content", "media_type", "errors"),
    [
        (ndjson(GOOD, {"to": "abc", "message": "x"}), NDJSON, [(2, "to")]),
        (ndjson(GOOD) + b"\n{}\n", NDJSON, [(3, "to")]),
        (ndjson({"to": "+1234567890"}), NDJSON, [(1, "request")]),
        (b"canary\n[]\nNaN\n{'a': 1}", NDJSON, [(n, "request") for n in (1, 2, 3, 4)]),
        (ndjson(GOOD) + b'{"to": "+1234567891", "to": "+1234567892"}', NDJSON, [(2, "request")]),
        (ndjson(GOOD | {"send_at": 1, "canary": 2}), NDJSON, [(1, "send_at"), (1, "canary")]),
        (ndjson(GOOD | {"message": "x" * 5000}), NDJSON, [(1, "message")]),
        (ndjson(GOOD, GOOD | {"to": "+1 (234) 567-890"}), NDJSON, [(2, "to")]),
        (
            ndjson(
                GOOD | {"key": "a"}, GOOD | {"key": "b"}, {**GOOD, "to": "+1234567891", "key": "a"}
            ),
            NDJSON,
            [(3, "to")],
        ),
        (ndjson(GOOD) + b"\xff\n", NDJSON, [(2, "request")]),
        (b"to,message\n+1234567890,x\ncanary,x\n", CSV, [(3, "to")]),
        (b"to,message\n+1234567890,x,canary\n", CSV, [(2, "request")]),
        (b"to,message\n+1234567890,x\n\n+1234567890,y\n", CSV, [(4, "to")]),
    ],
)
async def test_wrong_rows_are_named_by_line_and_nothing_is_sent(
    http: httpx.AsyncClient,
    provider: Simulator,
    content: bytes,
    media_type: str,
    errors: list[tuple[int, str]],
) -> None:
    key = f"u/{uuid.uuid4()}"
    refused = await upload(http, content, media_type, key)
    assert (refused.status_code, refused.headers["content-type"]) == (422, PROBLEM)
    assert [(error["line"], error["field"]) for error in refused.json()["errors"]] == errors
    assert "canary" not in json.dumps([error["problem"] for error in refused.json()["errors"]])
    assert (await http.get(f"/v1/batches/{quote(key, safe='')}")).status_code == 404
    assert not await provider.inbox()


@pytest.mark.parametrize(
    ("content", "media_type", "query", "status", "text"),
    [
        (b"", NDJSON, {}, 422, "no rows"),
        (b"\n \n", NDJSON, {}, 422, "no rows"),
        (b"", CSV, {}, 422, "no rows"),
        (b"to\n", CSV, {}, 422, "no rows"),
        (b"name\nAna\n", CSV, {}, 422, "no column `to`"),
        (b"to,sendAt\n+1234567890,x\n", CSV, {}, 422, "sendAt"),
        (b'to,message\n+1234567890,"x\n', CSV, {}, 422, "Line 2"),
        (b"to,message\n+1234567890,\xe9\n", CSV, {}, 422, "Line 2 is not UTF-8"),
        (b"x" * 1_100_000, NDJSON, {}, 422, "Line 1 has more than"),
        (ndjson(GOOD), "application/json", {}, 415, "application/x-ndjson or text/csv"),
        (ndjson(GOOD), "text/csv; charset=windows-1252", {}, 415, "UTF-8"),
        (ndjson(GOOD), NDJSON, {"perMinute": "0"}, 422, "1 to 1000000"),
        (ndjson(GOOD), NDJSON, {"perMinute": "fast"}, 422, "a whole number"),
        *(
            (ndjson(GOOD), NDJSON, {name: "yes"}, 422, "true or false")
            for name in ("inOrder", "ignoreOptOut", "resendUnknown")
        ),
        (ndjson(GOOD), NDJSON, {"surprise": "1"}, 422, "is not a known field"),
        (ndjson(GOOD), NDJSON, {"sendWindow": "09:00-20:00"}, 422, "sendWindow"),
        (ndjson(GOOD), NDJSON, {"sendWindow.from": "09:00"}, 422, "sendWindow.to"),
        (
            ndjson(GOOD),
            NDJSON,
            {"sendWindow.from": "09:00", "sendWindow.to": "20:00", "sendWindow.zone": "x"},
            *(422, "sendWindow.zone"),
        ),
        (ndjson(GOOD), NDJSON, {"sendWindow.days": "1"}, 422, "sendWindow.days"),
        (ndjson(GOOD), NDJSON, {"rows": "1"}, 422, "rows"),
        (ndjson(GOOD), NDJSON, {"expiresAt": "9999-12-31T23:59:59Z"}, 422, "2000 to 2199"),
        (ndjson(GOOD), NDJSON, {"variables.a": ""}, 422, "variables.a"),
    ],
)
async def test_an_upload_that_cannot_be_read_is_refused(
    http: httpx.AsyncClient,
    content: bytes,
    media_type: str,
    query: dict[str, str],
    status: int,
    text: str,
) -> None:
    refused = await upload(http, content, media_type, **query)
    assert (refused.status_code, refused.headers["content-type"]) == (status, PROBLEM)
    assert text in refused.text


async def test_a_parameter_that_is_given_twice_is_refused(http: httpx.AsyncClient) -> None:
    headers = {"Content-Type": NDJSON}
    for query in ("template=a&template=b", "key=k", "variables=x", "message=%ff"):
        answer = await http.post(f"/v1/batches/k/rows?{query}", content=b"{}", headers=headers)
        assert answer.status_code == 422


async def test_more_than_32_mb_are_refused(http: httpx.AsyncClient) -> None:
    a_megabyte = (b" " * 1023 + b"\n") * 1024

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(33):
            yield a_megabyte

    assert (await upload(http, endless())).status_code == 413
    refused = await upload(http, a_megabyte * 32 + b"\n")
    assert refused.status_code == 413


async def test_an_upload_that_is_cut_starts_nothing_and_can_be_sent_again(
    http: httpx.AsyncClient, client: Client, provider: Simulator
) -> None:
    key, rows = f"u-{uuid.uuid4()}", [GOOD | {"to": new_phone()} for _ in range(300)]
    content = ndjson(*rows)
    _, writer = await asyncio.open_connection("127.0.0.1", http.base_url.port)
    head = f"POST {url(key)} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {NDJSON}\r\n"
    writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content[:-10])
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await http.get(f"/v1/batches/{key}")).status_code == 404
    started = await upload(http, content, key=key)
    assert (started.status_code, started.json()["total"]) == (202, 300)
    again = await upload(http, content, key=key)
    assert again.status_code == 202
    assert (await closed(http, started.json()["statusUrl"]))["accepted"] == 300
    assert len(await provider.inbox()) == 300


async def test_other_rows_under_the_key_of_a_running_batch_are_refused(
    server: DevServer, client: Client, tmp_path: Path
) -> None:
    async with nobody_sends(server, tmp_path) as (http, _):
        key = f"u-{uuid.uuid4()}"
        assert (await upload(http, ndjson(GOOD), key=key)).status_code == 202
        other = await upload(http, ndjson(GOOD | {"to": "+1234567891"}), key=key)
        assert other.status_code == 409
        await client.get_workflow_handle(batch_id(key)).terminate()


@pytest.mark.timeout(400)
async def test_250_000_rows_need_less_than_150_mib(
    server: DevServer, client: Client, tmp_path: Path
) -> None:
    async with nobody_sends(server, tmp_path) as (http, running):
        highest = 0.0

        async def rows() -> AsyncIterator[bytes]:
            nonlocal highest
            for first in range(0, 250_000, 500):
                highest = max(highest, resident_mib(running))
                yield ndjson(
                    *(
                        {"to": f"+4915{n:09d}", "variables": {"name": f"Person {n}"}}
                        for n in range(first, first + 500)
                    )
                )

        key = f"u-{uuid.uuid4()}"
        answer = asyncio.create_task(
            http.post(
                url(key),
                content=rows(),
                headers={"Content-Type": NDJSON},
                params={"template": "visa_approved"},
                timeout=300,
            )
        )
        while not answer.done():
            highest = max(highest, resident_mib(running))
            assert (await http.get("/healthz")).status_code == 200
            await asyncio.sleep(0.2)
        assert (answer.result().status_code, answer.result().json()["total"]) == (202, 250_000)
        assert highest < 150
        await client.get_workflow_handle(batch_id(key)).terminate()


def row(number: int, **fields: Any) -> Row:
    request = SendWhatsAppRequest(to=f"+4915{number:09d}", **fields)
    return Row(row=number, key=f"k/{number}", request=request)


def test_packed_rows_are_the_rows_in_the_same_parts() -> None:
    rows = [row(n, message="x" * (n % 4000 + 1)) for n in range(1, 1200)]
    packed = PackedRows(rows)
    assert len(packed) == len(rows)
    assert list(packed) == rows
    assert [part.unpacked() for part in packed.parts()] == [p.unpacked() for p in split(rows)]
    assert packed.counts == [part.counts for part in split(rows)]
    assert packed.digest([]) == PackedRows(rows).digest([])
    assert packed.digest([]) != PackedRows(rows[1:]).digest([])


def test_packed_rows_name_each_template_once() -> None:
    rows = [row(n, template=template) for n, template in enumerate("abab", 1)]
    assert PackedRows([*rows, row(9, message="x")]).templates == ["a", "b"]
