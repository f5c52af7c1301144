"""The pages under /docs: served from installed files, with nothing from elsewhere; HEAD."""

import re

import httpx
import pytest

from tests.gateway.conftest import PROBLEM, post

PAGES = ("/docs", "/docs/start.js", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js")


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_may_load_only_what_the_gateway_serves(
    http: httpx.AsyncClient, path: str
) -> None:
    page = await http.get(path)
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'" in policy
    assert "connect-src 'self'" in policy
    assert "unsafe-eval" not in policy


async def test_every_file_of_the_page_is_served(http: httpx.AsyncClient) -> None:
    page = (await http.get("/docs")).text
    files = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert "docs/swagger-ui-bundle.js" in files
    for file in files:
        assert file == "data:," or (await http.get(f"/{file}")).status_code == 200
    assert "openapi.json" in (await http.get("/docs/start.js")).text


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json", *PAGES])
async def test_head_answers_as_get_without_a_body(http: httpx.AsyncClient, path: str) -> None:
    got, head = await http.get(path), await http.head(path)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length"):
        assert head.headers[name] == got.headers[name]


async def test_head_works_for_messages_and_batches(http: httpx.AsyncClient) -> None:
    url = (await post(http, headers={"Prefer": "wait=20"})).json()["statusUrl"]
    assert (await http.head(url)).status_code == 200
    for path in ("/v1/messages/nothing", "/v1/batches/nothing", "/v1/batches/nothing/report"):
        missing = await http.head(path)
        assert (missing.status_code, missing.headers["content-type"]) == (404, PROBLEM)
        assert missing.content == b""
    assert (await http.head("/v1/messages")).status_code == 405
