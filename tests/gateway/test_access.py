"""Access control: every route has a rule, and a caller does only what its permissions allow."""

from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Route
from temporalio.client import Client

from send_whatsapp.gateway.access import PUBLIC, RULES, Permission
from send_whatsapp.gateway.tokens import Tokens
from tests.conftest import SendHarness, new_phone
from tests.gateway.conftest import gateway
from tests.gateway.documented import app_without_a_server

PERMISSIONS: tuple[Permission, ...] = get_args(Permission)


def served(app: FastAPI) -> set[tuple[str, str]]:
    """Return method and path of every route; HEAD has the rule of GET."""
    assert all(isinstance(route, Route) for route in app.routes), "only plain routes have rules"
    return {
        (method, route.path)
        for route in app.routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }


def without_a_rule(app: FastAPI) -> set[tuple[str, str]]:
    return served(app) - RULES.keys()


def test_every_route_has_a_rule() -> None:
    assert not without_a_rule(app_without_a_server()), "add each to RULES in gateway/access.py"


def test_a_route_without_a_rule_is_found() -> None:
    app = app_without_a_server()
    app.get("/v1/new/{id}")(lambda: None)
    assert without_a_rule(app) == {("GET", "/v1/new/{id}")}


def test_every_rule_has_a_route() -> None:
    assert not RULES.keys() - served(app_without_a_server())


def test_everything_about_messages_needs_a_permission_and_nothing_else_does() -> None:
    public = {path for (_, path), rule in RULES.items() if rule == PUBLIC}
    assert not any(path.startswith("/v1/") for path in public)
    assert all(path.startswith("/v1/") for _, path in RULES if path not in public)


async def test_a_route_without_a_rule_is_not_served(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(RULES, ("GET", "/v1/messages/{id:path}"))
    tokens = Tokens({"crm": "the-token-of-crm"}, None)
    async with gateway(client, "nobody", tokens) as http:
        headers = {"Authorization": "Bearer the-token-of-crm"}
        assert (await http.get("/v1/messages/some-id", headers=headers)).status_code == 500


ROUTES: list[tuple[str, str, set[Permission]]] = [
    ("POST", "/v1/messages", {"send"}),
    ("GET", "/v1/messages/none", {"read"}),
    ("HEAD", "/v1/messages/none", {"read"}),
    ("DELETE", "/v1/messages/none", {"cancel"}),
    ("POST", "/v1/webhooks/none", {"send"}),
    ("POST", "/v1/batches", {"batch"}),
    ("POST", "/v1/batches/none/rows", {"batch"}),
    ("GET", "/v1/batches/none", {"batch", "read"}),
    ("GET", "/v1/batches/none/report", {"batch", "read"}),
    ("POST", "/v1/batches/none/pause", {"batch"}),
    ("POST", "/v1/batches/none/resume", {"batch"}),
    ("POST", "/v1/batches/none/cancel", {"batch", "cancel"}),
]


async def test_a_caller_uses_exactly_the_routes_of_its_permissions(
    client: Client, tmp_path: Path
) -> None:
    file = tmp_path / "callers.yaml"
    only = "\n".join(f"  {one}: {{token: the-token-of-{one}, may: [{one}]}}" for one in PERMISSIONS)
    file.write_text(f"callers:\n{only}\n")
    async with gateway(client, "nobody", Tokens({}, None, file)) as http:
        for permission in PERMISSIONS:
            headers = {"Authorization": f"Bearer the-token-of-{permission}"}
            for method, path, sufficient in ROUTES:
                answer = await http.request(method, path, headers=headers)
                refused = answer.status_code == 403
                assert refused == (permission not in sufficient), (method, path, permission)
                if refused and method != "HEAD":
                    assert all(f"`{name}`" in answer.json()["title"] for name in sufficient)


LIMITED = "callers: {shop: {token: the-token-of-shop, templates: [visa_approved]}}"
CONTENTS: list[tuple[dict[str, Any], bool]] = [
    ({"template": "visa_approved"}, True),
    ({"template": "visa_approved", "variables": {"name": "Ada"}}, True),
    ({"template": "visa_rejected"}, False),
    ({"message": "free text"}, False),
    ({"fileUrl": "https://example.com/a.pdf", "fileType": "document"}, False),
    ({"template": "visa_approved", "variables": {"fallback_message": "free"}}, False),
]


async def test_a_caller_with_templates_sends_nothing_else_in_whatever_way(
    client: Client, harness: SendHarness, tmp_path: Path
) -> None:
    file = tmp_path / "callers.yaml"
    file.write_text(LIMITED)
    async with gateway(client, "nobody", Tokens({}, None, file)) as http:
        http.headers["Authorization"] = "Bearer the-token-of-shop"
        for number, (content, allowed) in enumerate(CONTENTS):
            row = {"to": new_phone()} | content
            key = f"{tmp_path.name}-{number}"
            answers = [
                await http.post("/v1/messages", json=row),
                await http.post("/v1/batches", json={"key": key, "rows": [row]}),
                await upload(http, f"{key}-rows", row),
            ]
            statuses = [answer.status_code for answer in answers]
            assert statuses == [202 if allowed else 403] * 3, content
            for answer in answers if not allowed else []:
                assert "visa_approved" in answer.json()["title"]
        common = {"key": f"{tmp_path.name}-c", "message": "free", "rows": [{"to": new_phone()}]}
        assert (await http.post("/v1/batches", json=common)).status_code == 403


async def upload(http: httpx.AsyncClient, key: str, row: dict[str, Any]) -> httpx.Response:
    headers = {"Content-Type": "application/x-ndjson"}
    path = f"/v1/batches/{key}/rows"
    return await http.post(path, content=httpx.Response(200, json=row).content, headers=headers)
