"""`make screenshots`: takes pictures of the Web UI during real runs, for docs/images."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.async_api import FloatRect, Page, async_playwright
from temporalio.client import Client

from send_whatsapp.client import sends
from send_whatsapp.client.state import get_state
from send_whatsapp.contract import attributes
from send_whatsapp.contract.converter import contract_plugin
from send_whatsapp.contract.names import DEFAULT_TASK_QUEUE
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.temporal.task_queue import no_worker
from simulator.faults import Fault
from simulator.process import simulator
from tools.demo import environment, worker
from tools.dev_server import ROOT, dev_server
from tools.temporal_cli import NoServer

IMAGES = ROOT / "docs" / "images"
PERSON, ANOTHER, THIRD = "+14155552671", "+442079460958", "+493012345678"
RETRY_AFTER_S = "200"


class NoBrowser(Exception):
    """Chromium is missing. The message says how to install it."""


@dataclass
class Scene:
    """A server with the sends that the pictures show; the fields hold their ids."""

    ui_url: str
    fallback: str = "order-4711"
    retry: str = "order-4712"
    unknown: str = "order-4713"

    @property
    def list_page(self) -> str:
        """Return the URL of the list of runs."""
        return f"{self.ui_url}/namespaces/default/workflows"

    def run_page(self, workflow_id: str) -> str:
        """Return the URL of a run's page."""
        return f"{self.list_page}/{workflow_id}"


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    """Run server, simulator and worker, and create a fallback, a retry and an unknown send."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        server = await stack.enter_async_context(dev_server(folder / "server.log", ui_port=0))
        provider = await stack.enter_async_context(simulator())
        settings = environment(server, provider)
        await stack.enter_async_context(worker(settings, folder / "worker.log"))
        client = await Client.connect(server.address, plugins=[contract_plugin()])
        async with asyncio.timeout(60):
            while await no_worker(client, DEFAULT_TASK_QUEUE):
                await asyncio.sleep(0.1)
        made = Scene(server.ui_url)

        async def send(key: str, *, wait: bool = True, **fields: object) -> None:
            request = SendWhatsAppRequest.model_validate({"to": PERSON, **fields})
            started = await sends.start_send(client, request, key=key)
            if wait:
                await get_state(client, started.id, wait=True)

        name = {"name": "John"}
        await send("order-4709", template="visa_approved", variables=name)
        await send("order-4710", template="visa_rejekted", variables=name)
        await send(made.fallback, template="thank_you", message="Thank you!")
        await provider.faults(
            Fault(route="send_text", phone=THIRD, kind="cut"),
            Fault(route="send_text", status=503, headers={"retry-after": RETRY_AFTER_S}),
        )
        await send(made.unknown, to=THIRD, message="Hello", delivery="at_most_once")
        await send(made.retry, to=ANOTHER, message="Your documents are ready.", wait=False)
        async with asyncio.timeout(60):
            while not await _is_waiting_for_retry(client, made.retry):
                await asyncio.sleep(0.1)
        yield made


async def _is_waiting_for_retry(client: Client, workflow_id: str) -> bool:
    progress = (await get_state(client, workflow_id)).progress
    return progress is not None and progress.attempt == 2 and progress.last_failure is not None


@asynccontextmanager
async def browser_page() -> AsyncIterator[Page]:
    """Open a page in Debian's chromium. Raises NoBrowser."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise NoBrowser("chromium is missing: run `make system-packages` as root on Debian")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        context = await browser.new_context(viewport={"width": 1280, "height": 800})
        await context.add_init_script(_columns())
        page = await context.new_page()
        page.set_default_timeout(45_000)
        try:
            yield page
        finally:
            await browser.close()


def _columns() -> str:
    """Return a script that shows our search attributes as columns of the list of runs."""
    labels = ["Status", "Workflow ID", *(key.name for key in attributes.ALL[:5])]
    columns = json.dumps({"default": [{"label": label, "pinned": False} for label in labels]})
    return f"localStorage.setItem('namespace-workflow-table-columns', {json.dumps(columns)});"


async def picture(page: Page, name: str, height: int) -> None:
    """Save the top `height` pixels of a page; below them are stack traces with local paths."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    width = (page.viewport_size or {"width": 1280})["width"]
    clip = FloatRect(x=0, y=0, width=width, height=height)
    await page.screenshot(path=IMAGES / f"{name}.png", clip=clip)


async def open_until(page: Page, url: str, *texts: str, tab: str | None = None) -> None:
    """Open a page, or a tab of it, and wait until it shows these texts."""
    await page.goto(url)
    if tab:
        await page.get_by_text(tab).filter(visible=True).first.click()
    for text in texts:
        # The page also contains the texts of closed menus.
        await page.get_by_text(text).filter(visible=True).first.wait_for()


async def screenshots() -> None:
    """Take all pictures."""
    async with scene() as made, browser_page() as page:
        await page.set_viewport_size({"width": 1600, "height": 500})
        await open_until(page, made.list_page, made.unknown, "WhatsAppErrorType")
        await picture(page, "list", 460)
        await page.set_viewport_size({"width": 1280, "height": 840})
        await open_until(page, made.run_page(made.fallback), "Look up template thank_you")
        await picture(page, "fallback", 800)
        await open_until(page, made.run_page(made.retry), "HTTP 503", tab="Pending Activities")
        await picture(page, "retry", 782)
        await open_until(page, made.run_page(made.unknown), "Nobody can know")
        await picture(page, "unknown", 537)


def main() -> None:
    """Take the pictures. If something is missing, exit with a line that says what."""
    try:
        asyncio.run(screenshots())
    except (NoBrowser, NoServer) as error:
        sys.exit(str(error))
    print(f"Pictures in {os.path.relpath(IMAGES)}")


if __name__ == "__main__":
    main()
