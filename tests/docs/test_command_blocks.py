"""Every command block of the README and of docs/ works as it is written.

The commands run against the server, the simulated provider, the worker and the gateway that the
README starts. Not run are blocks after `<!-- not run: REASON -->`. A block after a line that ends
with a file name and a colon is saved as this file. `ID` is the id of a send that is being retried.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client

from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import ROOT, new_phone, require_program, until
from tests.docs.conftest import PAGES, Block, Page, name_of
from tests.docs.terminals import Terminals, ready_text
from tools.temporal_cli import NoServer, install

README = Page.read(ROOT / "README.md")
PROGRAMS = ("curl", "npm", "prometheus", "promtool")


def runnable(page: Page) -> list[Block]:
    """Return the command blocks of a page, without those that a comment excludes."""
    return [block for block in page.blocks if block.language == "sh" and not block.not_run]


SERVICES = [block for block in runnable(README) if ready_text(block)]
STARTED = [block.body for block in SERVICES]
OTHERS = sorted(
    (page for page in PAGES if page.path.parent == ROOT / "docs" and runnable(page)),
    key=lambda page: -len(page.commands),  # The longest one first, so that none waits for it.
)


@pytest.fixture(scope="module")
async def terminals(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Terminals]:
    """Run the commands of the README that do not end by themselves, and start the send `ID`."""
    try:
        install()
    except NoServer as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    opened = Terminals(tmp_path_factory.mktemp("project"))
    async with opened.running(SERVICES):
        provider = Simulator(f"http://127.0.0.1:{opened.simulator}/api", 0)
        phone = new_phone()
        await provider.faults(Fault(route="send_text", phone=phone, status=429))
        await provider.close()
        client = await Client.connect(f"127.0.0.1:{opened.server}")
        send = await client.start_workflow(
            "SendWhatsApp", {"to": phone, "message": "x"}, id="ID", task_queue="send-whatsapp"
        )

        async def is_retried() -> bool:
            pending = (await send.describe()).raw_description.pending_activities
            return any(activity.attempt > 1 for activity in pending)

        await until(is_retried)
        yield opened


async def follow(page: Page, terminals: Terminals) -> None:
    """Run the blocks of a page in their order."""
    for program in PROGRAMS:
        if any(program in block.body for block in runnable(page)):
            require_program(program)
    for block in page.blocks:
        if block.saved_as:
            (terminals.folder / block.saved_as).write_text(block.body)
    blocks = [block for block in runnable(page) if block.body not in STARTED]
    services = [block for block in blocks if ready_text(block)]
    async with terminals.running(services):
        await terminals.session(page, [b for b in blocks if b not in services])


async def test_each_command_of_the_readme_works(terminals: Terminals) -> None:
    await follow(README, terminals)
    provider = Simulator(f"http://127.0.0.1:{terminals.simulator}/api", 0)
    texts = {message["text"] for message in await provider.inbox("+1234567890")}
    await provider.close()
    assert texts >= {
        "Dear John Doe, your visa is approved.",
        "Hello from Python",
        "Hello over HTTP",
        "Hello from Temporal",
    }


@pytest.mark.parametrize("page", OTHERS, ids=lambda page: name_of(page.path))
async def test_each_command_of_a_page_works(terminals: Terminals, page: Page) -> None:
    await follow(page, terminals)


def test_few_blocks_are_not_run() -> None:
    pages = [README, *(page for page in PAGES if page.path.parent == ROOT / "docs")]
    excluded = [block for page in pages for block in page.blocks if block.not_run]
    assert all(block.language == "sh" for block in excluded)
    assert len(excluded) <= 5


@pytest.mark.parametrize(
    ("text", "not_run", "saved_as"),
    [
        ("```sh\nmake x\n```\n", None, None),
        ("<!-- not run: it needs a coffee -->\n```sh\nmake x\n```\n", "it needs a coffee", None),
        ("This is `people.csv`:\n\n```csv\nto\n```\n", None, "people.csv"),
        ("Use `people.csv`.\n\n```csv\nto\n```\n", None, None),
        ("1. Here:\n\n   ```sh\n   make x\n   ```\n", None, None),
    ],
)
def test_a_block_is_found_with_what_is_said_about_it(
    tmp_path: Path, text: str, not_run: str | None, saved_as: str | None
) -> None:
    [block] = Page(tmp_path / "page.md", "# Title\n\n" + text).blocks
    assert (block.not_run, block.saved_as) == (not_run, saved_as)
    assert block.body in ("make x\n", "to\n")


async def test_a_command_that_fails_is_shown_with_its_line_and_its_output(
    terminals: Terminals, tmp_path: Path
) -> None:
    page = Page(tmp_path / "page.md", "Try:\n\n```sh\necho before\nls /missing | cat\n```\n")
    with pytest.raises(AssertionError, match=r"page.md, line 3\n(.*\n)*ls: cannot access"):
        await terminals.session(page, page.blocks)
