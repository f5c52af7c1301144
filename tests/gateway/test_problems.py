"""Errors over HTTP: each one is a problem that names what is wrong, and the log has no data."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.gateway.conftest import PROBLEM


@pytest.mark.parametrize(
    ("body", "status", "fields"),
    [
        (b'{"to": "+1234567890"}', 422, ["request"]),
        (b'{"to": 5, "message": "canary"}', 422, ["to"]),
        (b'{"to": "+1", "message": "x", "canary": 1}', 422, ["canary"]),
        (b'{"to": "+1", "message": "x", "send_at": "2027-01-31T09:00:00Z"}', 422, ["send_at"]),
        (b'{"to": "+1", "message": "x", "sendAt": 1801386000}', 422, ["sendAt"]),
        (b'{"to": "+1", "template": "t", "variables": {"name": null}}', 422, ["variables.name"]),
        (b'{"to": "+1", "message": "x", "to": "+2"}', 400, None),
        (b'{"to": "+1", "template": "t", "variables": {"a": 1, "a": 2}}', 400, None),
        (b'{"to": "+1", "template": "t", "variables": {"a": NaN}}', 400, None),
        (b'{"to": "+1", "template": "t", "variables": {"a": Infinity}}', 400, None),
        (b'{"to": "+1", "template": "t", "variables": {"a": 1e999}}', 422, ["variables.a"]),
        (b'{"to": "+1", "message": "\\ud800"}', 422, ["message"]),
        (b"[" * 30_000, 400, None),
        (b'{"a":' * 300 + b"1" + b"}" * 300, 422, ["to", "a"]),
        (b'{"a":' * 600 + b"1" + b"}" * 600, 422, ["to", "a"]),
        (b'{"a":' * 2000 + b"1" + b"}" * 2000, 400, None),
        (b"", 400, None),
        (b"\xff", 400, None),
        (b"[]", 422, ["request"]),
        (b'{"a": "' + b"x" * 70_000 + b'"}', 413, None),
    ],
)
async def test_an_invalid_body_is_refused_and_its_fields_are_named(
    http: httpx.AsyncClient, body: bytes, status: int, fields: list[str] | None
) -> None:
    headers = {"content-type": "application/json; charset=utf-8"}
    answer = await http.post("/v1/messages", content=body, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == PROBLEM
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    if fields:
        assert [e["field"] for e in problem["errors"]] == fields


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/nothing", {}, 404),
        ("GET", "/v1/messages/nothing", {}, 404),
        ("GET", "/v1/messages/", {}, 404),
        ("GET", "/v1/messages/%00", {}, 404),
        ("GET", "/v1/messages/%ff", {}, 404),
        ("GET", "/v1/messages/" + "x" * 2000, {}, 404),
        ("GET", "/healthz/", {}, 404),
        ("POST", "/v1/webhooks/nobody", {}, 404),
        ("DELETE", "/v1/messages/nothing", {}, 404),
        ("PUT", "/v1/messages", {}, 405),
        ("POST", "/healthz", {}, 405),
        ("POST", "/v1/messages", {"content-type": "text/plain"}, 415),
        ("POST", "/v1/messages", {"x": "y" * 33_000}, 431),
        ("POST", "/v1/messages", {f"x{i}": "y" for i in range(101)}, 431),
    ],
)
async def test_every_error_is_a_problem(
    http: httpx.AsyncClient, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = await http.request(method, path, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["status"] == status


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/v1/messages", "POST"),
        ("/v1/messages/x", "DELETE, GET, HEAD"),
        ("/healthz", "GET, HEAD"),
        ("/readyz", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_gets_the_allowed_ones(
    http: httpx.AsyncClient, path: str, allow: str
) -> None:
    answer = await http.request("PATCH", path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    assert answer.headers["content-type"] == PROBLEM


async def test_the_access_log_has_the_route_and_no_data(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "gateway.access"):
        await http.get("/v1/messages/canary?canary=1")
    record: Callable[[str], Any] = caplog.records[-1].__getattribute__
    assert record("route") == "/v1/messages/{id:path}"
    assert "canary" not in json.dumps(vars(caplog.records[-1]), default=lambda o: "")
