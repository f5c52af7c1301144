"""What an operator sees in the Web UI: the list of runs with our columns, and a run's page."""

import os
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page

from tools.screenshots import NoBrowser, Scene, browser_page, open_until, scene
from tools.temporal_cli import NoServer

# The first test starts a browser and a server.
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
async def page() -> AsyncIterator[Page]:
    try:
        async with browser_page() as opened:
            yield opened
    except NoBrowser as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
async def made(page: Page) -> AsyncIterator[Scene]:
    try:
        async with scene() as running:
            yield running
    except NoServer as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


async def test_the_list_shows_outcome_template_and_error_type(page: Page, made: Scene) -> None:
    await open_until(
        page,
        made.list_page,
        *("WhatsAppOutcome", "WhatsAppTemplate", "WhatsAppErrorType"),
        *("accepted", "running", "failed", "unknown"),
        *("visa_approved", "thank_you", "TemplateNotFound", "DeliveryUnknown"),
    )


@pytest.mark.parametrize(
    ("run", "tab", "texts"),
    [
        (
            *("fallback", None),
            ("Look up template thank_you", "Send text instead of the template, 10 characters"),
        ),
        (*("retry", "Pending Activities"), ("Could not send the text (HTTP 503)", "may have been")),
        (*("unknown", None), ("The message may have been sent at", "nobody can know", "inbox")),
    ],
)
async def test_a_runs_page_says_what_happened(
    page: Page, made: Scene, run: str, tab: str | None, texts: tuple[str, ...]
) -> None:
    await open_until(page, made.run_page(getattr(made, run)), *texts, tab=tab)
