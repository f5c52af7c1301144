"""Send windows over HTTP: messages, batches and uploads wait for them."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from simulator.process import Simulator
from tests.conftest import new_phone, until
from tests.gateway.conftest import has_status, key, post


def later_today() -> dict[str, str]:
    opens_at = datetime.now(UTC) + timedelta(hours=3)
    return {
        "from": f"{opens_at:%H:%M}",
        "to": f"{opens_at + timedelta(hours=2):%H:%M}",
        "zone": "UTC",
    }


async def test_a_message_waits_for_its_window(http: httpx.AsyncClient, provider: Simulator) -> None:
    window, headers = later_today(), {"Idempotency-Key": key()}
    to = new_phone()
    started = await post(http, to=to, sendWindow=window, headers=headers)
    assert started.status_code == 202
    assert (await post(http, to=to, sendWindow=window, headers=headers)).status_code == 202
    assert (await post(http, to=to, headers=headers)).status_code == 422
    url = started.json()["statusUrl"]
    cancelled = await http.delete(url)
    assert cancelled.status_code in (200, 202)
    await until(lambda: has_status(http, url, "cancelled"))
    assert not await provider.inbox()


@pytest.mark.parametrize(
    ("window", "field"),
    [
        ({"from": "09:00"}, "sendWindow.to"),
        ({"from": "9:00", "to": "20:00"}, "sendWindow.from"),
        ({"from": "09:00", "to": "09:00"}, "sendWindow.to"),
        ({"from": "09:00", "to": "20:00", "zone": "Mars/Phobos"}, "sendWindow.zone"),
        ("09:00-20:00", "sendWindow"),
    ],
)
async def test_a_wrong_window_is_refused_by_its_path(
    http: httpx.AsyncClient, window: Any, field: str
) -> None:
    refused = await post(http, sendWindow=window)
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == [field]
    batch = {"key": key(), "message": "x", "rows": [{"to": "+1234567890"}], "sendWindow": window}
    refused = await http.post("/v1/batches", json=batch)
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == [field]


async def outside(http: httpx.AsyncClient, url: str) -> bool:
    state = (await http.get(url)).json()
    return state["outsideWindow"] == 2 and bool(state["windowOpensAt"])


async def test_the_rows_of_a_batch_wait_for_their_window(
    http: httpx.AsyncClient, provider: Simulator
) -> None:
    rows, window = [{"to": new_phone()}, {"to": new_phone()}], later_today()
    body = {"key": key(), "message": "x", "rows": rows, "sendWindow": window}
    url = (await http.post("/v1/batches", json=body)).json()["statusUrl"]
    await until(lambda: outside(http, url))
    query = {f"sendWindow.{name}": value for name, value in window.items()} | {"message": "x"}
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    uploaded = await http.post(
        f"/v1/batches/{uuid.uuid4()}/rows",
        content=lines,
        params=query,
        headers={"Content-Type": "application/x-ndjson"},
    )
    assert uploaded.status_code == 202
    await until(lambda: outside(http, uploaded.json()["statusUrl"]))
    for each in (url, uploaded.json()["statusUrl"]):
        assert (await http.post(f"{each}/cancel")).status_code == 202
    await until(lambda: has_status(http, url, "cancelled"))
    assert not await provider.inbox()


async def test_a_row_cannot_have_a_window_of_its_own(http: httpx.AsyncClient) -> None:
    row = {"to": "+1234567890", "sendWindow": later_today()}
    refused = await http.post("/v1/batches", json={"key": key(), "message": "x", "rows": [row]})
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == ["rows.0.sendWindow"]
