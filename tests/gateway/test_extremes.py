"""Values at the edges of what a client can send are refused on every route, never a 500."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.gateway.conftest import PROBLEM, GatewayProcess, gateway_process
from tools.dev_server import DevServer

LONG = "x" * 8000
WEBHOOKS = """
webhooks:
  w:
    when: "ceil(amount || `1`)"
    key: id
    request: {to: to, message: message, template: template, variables: variables, sendAt: at}
"""


@pytest.fixture(scope="module")
async def running(
    server: DevServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[GatewayProcess]:
    folder: Path = tmp_path_factory.mktemp("gateway")
    (folder / "webhooks.yaml").write_text(WEBHOOKS)
    async with gateway_process(
        folder,
        TEMPORAL_ADDRESS=server.address,
        TEMPORAL_TASK_QUEUE="nobody",
        GATEWAY_WEBHOOKS_FILE=str(folder / "webhooks.yaml"),
    ) as process:
        yield process


@pytest.mark.parametrize(
    "id_", [LONG, "\U0001f600" * 2000, "x" * 1001, "%00", "a%0Ab", "%ED%A0%80"]
)
@pytest.mark.parametrize(
    ("method", "route"),
    [
        ("GET", "/v1/messages/{}"),
        ("DELETE", "/v1/messages/{}"),
        ("GET", "/v1/batches/{}"),
        ("GET", "/v1/batches/{}/report"),
        ("POST", "/v1/batches/{}/pause"),
        ("POST", "/v1/batches/{}/resume"),
        ("POST", "/v1/batches/{}/cancel"),
        ("POST", "/v1/webhooks/{}"),
    ],
)
async def test_an_id_that_nothing_can_have_is_not_found(
    running: GatewayProcess, method: str, route: str, id_: str
) -> None:
    answer = await running.http.request(method, route.format(id_))
    assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)


@pytest.mark.parametrize("key", [LONG, "batch-feb", "webhook:w:5"])
async def test_a_key_that_no_message_can_have_is_refused(running: GatewayProcess, key: str) -> None:
    headers = {"Idempotency-Key": key}
    body = {"to": "+1234567890", "message": "x"}
    answer = await running.http.post("/v1/messages", json=body, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (400, PROBLEM)


NUMBERS = ["Infinity", "-Infinity", "NaN", "1e999", "-1e999", "1" * 4000, "1" * 5000]
NESTED = {
    f"{name} {depth}": opened * depth + "1" + closed * depth
    for name, opened, closed in (("lists", "[", "]"), ("objects", '{"a":', "}"))
    for depth in (500, 850, 900, 950, 980, 990, 5000)
}
BODIES = {
    "/v1/messages": [
        *(
            '{"to": "+1234567890", "message": "x", "NAME": VALUE}'.replace("NAME", name)
            for name in ("to", "message", "template", "variables", "sendAt", "delivery", "a")
        ),
        '{"to": "+1234567890", "template": "t", "variables": {"a": VALUE}}',
    ],
    "/v1/batches": [
        *(
            '{"key": "k", "rows": [{"to": "+1234567890", "message": "x"}], "NAME": VALUE}'.replace(
                "NAME", name
            )
            for name in ("key", "rows", "perMinute", "pauseAfter", "expiresAt", "resendUnknown")
        ),
        '{"key": "k", "rows": [VALUE]}',
        '{"key": "k", "rows": [{"to": VALUE, "key": VALUE, "message": VALUE}]}',
        '{"key": "k", "template": "t", "rows": [{"to": "+1234567890", "variables": {"a": VALUE}}]}',
        '{"key": "k", "message": "x", "rows": [{"to": "+1234567890", "key": VALUE, "a": VALUE}]}',
    ],
    "/v1/webhooks/w": [
        '{"id": 1, "to": "+1234567890", "message": "x", "amount": VALUE}',
        '{"id": 1, "to": VALUE, "message": "x", "at": VALUE}',
        '{"id": 1, "to": "+1234567890", "template": "t", "variables": {"a": VALUE}}',
    ],
}


@pytest.mark.parametrize("value", [*NUMBERS, '"inf"', '"nan"', f'"{LONG}"'])
@pytest.mark.parametrize("path", BODIES)
async def test_no_number_and_no_text_is_an_internal_error(
    running: GatewayProcess, path: str, value: str
) -> None:
    for body in BODIES[path]:
        await is_answered(running.http, path, body.replace("VALUE", value))


@pytest.mark.parametrize("nested", NESTED)
@pytest.mark.parametrize("path", BODIES)
async def test_no_depth_is_an_internal_error(
    running: GatewayProcess, path: str, nested: str
) -> None:
    await is_answered(running.http, path, NESTED[nested], refused=True)
    for body in BODIES[path]:
        await is_answered(running.http, path, body.replace("VALUE", NESTED[nested]))


async def is_answered(
    http: httpx.AsyncClient, path: str, body: str, *, refused: bool = False
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await http.post(path, content=body, headers=headers)
    if answer.status_code not in (202, 204) or refused:
        assert 400 <= answer.status_code < 500, body[:200]
        assert answer.headers["content-type"] == PROBLEM
        assert json.loads(answer.text)["status"] == answer.status_code
