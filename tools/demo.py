"""`make demo`: runs Temporal, a simulated provider and a worker, and sends a few messages."""

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from temporalio.client import Client

from send_whatsapp.client import sends
from send_whatsapp.client.links import ui_link
from send_whatsapp.client.state import get_state
from send_whatsapp.contract.converter import contract_plugin
from send_whatsapp.contract.names import DEFAULT_TASK_QUEUE
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.temporal.task_queue import no_worker
from simulator.process import Simulator, simulator
from tools.dev_server import ROOT, DevServer, dev_server, free_port, is_free, make_private
from tools.temporal_cli import NoServer

DATA = ROOT / ".data"
PERSON = "+1 (415) 555-2671"

CASES: list[tuple[str, dict[str, Any]]] = [
    ("a text", {"to": PERSON, "message": "Hello from Temporal 👋"}),
    (
        "a template with another spelling",
        {"to": PERSON, "template": "visa_approved", "variables": {"name": "John Doe"}},
    ),
    (
        "a template mapped by CGB_TEMPLATE_REMINDER",
        {"to": "+44 20 7946 0958", "template": "reminder", "variables": {"date": "Monday"}},
    ),
    (
        "no such template, with a fallback text",
        {"to": "+44 20 7946 0958", "template": "thank_you", "message": "Thank you!"},
    ),
    (
        "a document",
        {"to": PERSON, "fileUrl": "https://example.com/visa.pdf", "fileType": "document"},
    ),
    (
        "an image",
        {"to": PERSON, "fileUrl": "https://example.com/office.png", "fileType": "image"},
    ),
    ("no such template, no fallback text", {"to": PERSON, "template": "thank_you"}),
    ("an invalid phone number", {"to": "call me", "message": "Hello"}),
]

console = Console(soft_wrap=True)


@asynccontextmanager
async def worker(environment: dict[str, str], log: Path) -> AsyncIterator[Process]:
    """Run `worker.py` until the block ends."""
    with log.open("ab") as sink:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(ROOT / "worker.py"), env=environment, stdout=sink, stderr=sink
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def environment(server: DevServer, provider: Simulator) -> dict[str, str]:
    """Return the variables of worker and starters, without any settings of the real provider."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("CGB_", "TEMPORAL_"))}
    return kept | {
        "TEMPORAL_ADDRESS": server.address,
        "TEMPORAL_UI_URL": server.ui_url,
        "CGB_API_URL": provider.url,
        "CGB_API_KEY": provider.key,
        "CGB_TEMPLATE_REMINDER": "1752250957768",
    }


async def send_all(client: Client, ui_url: str) -> None:
    """Send every case and print its outcome."""
    table = Table("request", "outcome", "contact id", "ms", title="What was sent", box=None)
    links = []
    for description, fields in CASES:
        started_at = time.perf_counter()
        request = SendWhatsAppRequest.model_validate(fields)
        started = await sends.start_send(client, request)
        state = await get_state(client, started.id, wait=True)
        took = f"{(time.perf_counter() - started_at) * 1000:.0f}"
        result = state.result
        outcome = f"[green]{state.outcome}[/]" if state.outcome == "accepted" else state.outcome
        if result and result.fallback_reason:
            outcome += " as fallback text"
        if result and result.error:
            outcome += f": {result.error.type}"
        links.append(ui_link(ui_url, client.namespace, state.id, state.run_id) or state.id)
        contact_id = (result.contact_id if result else None) or "-"
        table.add_row(f"{len(links)} {description}", outcome, contact_id, took)
    console.print(table)
    console.print("\nThe same sends in the Web UI:")
    for number, link in enumerate(links, 1):
        console.print(f"  {number} {link}", markup=False)


async def show_phones(provider: Simulator) -> None:
    """Print the messages that the simulated provider delivered in this run."""
    console.print("\n[bold]What arrived on the simulated phones[/]")
    for message in await provider.inbox():
        content = message["text"] or f"[{message['type']}] {message['url']}"
        console.print(f"  {message['phone']}  {content}", markup=False)


async def demo() -> None:
    """Run the demo; on a terminal it keeps running until Ctrl-C."""
    make_private(DATA / "demo.db")
    default_ports = is_free(7233) and is_free(8233)
    if not default_ports:
        console.print("Ports 7233 and 8233 are in use, so the demo takes others.")
    port, ui_port = (7233, 8233) if default_ports else (free_port(), free_port())
    async with AsyncExitStack() as stack:
        console.print("Starting Temporal with its data in .data/demo.db (a few seconds) ...")
        server = await stack.enter_async_context(
            dev_server(
                DATA / "demo-server.log",
                database=DATA / "demo.db",
                port=port,
                ui_port=ui_port,
            )
        )
        console.print("Starting the simulated provider and the worker (a few seconds) ...")
        provider = await stack.enter_async_context(simulator())
        settings = environment(server, provider)
        process = await stack.enter_async_context(worker(settings, DATA / "demo-worker.log"))
        client = await Client.connect(server.address, plugins=[contract_plugin()])
        async with asyncio.timeout(60):
            while await no_worker(client, DEFAULT_TASK_QUEUE):
                if process.returncode is not None:
                    raise NoServer("The worker did not start: see .data/demo-worker.log")
                await asyncio.sleep(0.1)
        async with asyncio.timeout(90):
            await send_all(client, server.ui_url)
        await show_phones(provider)
        console.print(f"\nAll runs: {server.ui_url}/namespaces/default/workflows")
        if sys.stdin.isatty() and sys.stdout.isatty():
            await _stay(server, provider)
    console.print("Stopped. The next demo shows these runs too.")


async def _stay(server: DevServer, provider: Simulator) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    console.print(f"The simulated phones: {provider.page}\nSend more from another terminal:")
    console.print(
        f"  TEMPORAL_ADDRESS={server.address} .venv/bin/send-whatsapp send"
        ' --to +14155552671 --message "Hello again"',
        markup=False,
    )
    console.print("Ctrl-C stops everything.")
    await stop.wait()


def main() -> None:
    """Run the demo; end with one line if something goes wrong."""
    try:
        asyncio.run(demo())
    except NoServer as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except TimeoutError:
        sys.exit("The demo did not finish in time; see .data/demo-worker.log")


if __name__ == "__main__":
    main()
