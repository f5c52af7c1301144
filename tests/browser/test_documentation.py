"""The gateway's page /docs in a browser: it shows the routes and loads nothing from elsewhere."""

import os
from pathlib import Path

import pytest
from playwright.async_api import Request

from tests.gateway.conftest import gateway_process
from tools.screenshots import NoBrowser, browser_page

pytestmark = pytest.mark.timeout(400)


async def test_the_page_shows_the_routes_and_can_call_them(tmp_path: Path) -> None:
    try:
        async with browser_page() as page, gateway_process(tmp_path) as running:
            requested: list[str] = []
            refused: list[str] = []

            def note(request: Request) -> None:
                requested.append(request.url)

            page.on("request", note)
            page.on("console", lambda line: refused.append(line.text))
            base = str(running.http.base_url)
            await page.goto(f"{base}/docs")
            await page.get_by_text("/v1/messages", exact=True).wait_for()
            await page.locator("#operations-default-health .opblock-summary-control").click()
            await page.get_by_role("button", name="Try it out").click()
            await page.get_by_role("button", name="Execute").click()
            await page.get_by_text('"status": "ok"').first.wait_for()
            await page.locator("#operations-default-health .live-responses-table").wait_for()
            assert f"{base}/healthz" in requested
            assert all(url.startswith((base, "data:")) for url in requested)
            assert not [text for text in refused if "Content Security Policy" in text]
    except NoBrowser as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
