"""Runs the code blocks of pages as a reader does: in a copy of the project, with free ports."""

import asyncio
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

from tests.conftest import ROOT, until
from tests.docs.conftest import Block, Page
from tools.dev_server import free_port

READY = {
    "make server": "Temporal Server:",
    "make simulator": "simulator ready on",
    "make worker": "serving task queue",
    "make gateway": "gateway listens on",
    "prometheus": "ready to receive web requests",
}
"""Commands that run until Ctrl-C, and what they print once they are ready."""

_NOT_COPIED = (
    *(".git", ".venv", ".data", "node_modules", "dist", "build", "*_cache", "__pycache__"),
    # Processes of other tests write these files meanwhile.
    ".coverage*",
)
_NOT_PASSED = (
    *("CGB_", "GATEWAY_", "LOG_", "METRICS_", "OTEL_", "TEMPORAL_"),
    # Of the programs that run this test. Coverage would count the copied files as others.
    *("COV", "MAKE", "MFLAGS", "PYTEST_"),
)


def ready_text(block: Block) -> str | None:
    """Return what the block prints once it is ready; None if it ends by itself."""
    command = re.sub(r"^(\w+=\S+ )+", "", block.body)
    return next((text for start, text in READY.items() if command.startswith(start)), None)


class Terminals:
    """A copy of the project, and the environment of all commands in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server, ui, self.simulator, gateway = (free_port() for _ in range(4))
        # Pages contain these two ports; all others can be set.
        self._ports = {9090: self.simulator, 9091: free_port()}
        self.environment = {
            n: v for n, v in os.environ.items() if not n.startswith(_NOT_PASSED)
        } | {
            "SERVER_PORT": str(self.server),
            "UI_PORT": str(ui),
            "SIMULATOR_PORT": str(self.simulator),
            "TEMPORAL_ADDRESS": f"127.0.0.1:{self.server}",
            "TEMPORAL_UI_URL": f"http://127.0.0.1:{ui}",
            "GATEWAY_BIND": f"127.0.0.1:{gateway}",
            "CURL_HOME": str(folder),
        }
        _copy_project(folder)
        # A refusal of the gateway is an error, and its usual port leads to ours.
        (folder / ".curlrc").write_text(
            f'connect-to = "127.0.0.1:8080:127.0.0.1:{gateway}"\nfail-with-body\n'
        )

    @asynccontextmanager
    async def running(self, blocks: Sequence[Block]) -> AsyncIterator[None]:
        """Run blocks that do not end by themselves, each in a terminal of its own."""
        async with AsyncExitStack() as stack:
            for block in blocks:
                await stack.enter_async_context(self._terminal(block))
            for block in blocks:
                await until(partial(self._is_ready, block), within_s=60)
            yield

    @asynccontextmanager
    async def _terminal(self, block: Block) -> AsyncIterator[None]:
        process = await self._start(block.body, self._log(block))
        try:
            yield
        finally:
            await _stop(process)

    async def session(self, page: Page, blocks: Sequence[Block]) -> None:
        """Run blocks of a page one after the other in one shell.

        Raises AssertionError with the output if a command fails.
        """
        script = ["set -eo pipefail"]
        for block in blocks:
            script += [f"echo '--- {page.path.name}, line {block.line}'", block.body]
        log = self.folder / f"{page.path.name}.log"
        process = await self._start("\n".join(script), log)
        try:
            async with asyncio.timeout(100):
                code = await process.wait()
        finally:
            await _stop(process)
        assert code == 0, log.read_text()

    async def _start(self, script: str, log: Path) -> asyncio.subprocess.Process:
        for port, ours in self._ports.items():
            script = script.replace(f"127.0.0.1:{port}", f"127.0.0.1:{ours}")
        with log.open("wb") as sink:
            return await asyncio.create_subprocess_exec(
                *("bash", "-c", script),
                cwd=self.folder,
                env=self.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )

    def _log(self, block: Block) -> Path:
        return self.folder / f"terminal-{block.line}.log"

    def _is_ready(self, block: Block) -> bool:
        return str(ready_text(block)) in self._log(block).read_text()


def _copy_project(folder: Path) -> None:
    """Copy the project. Its `.venv` is the one of this test, and `make` finds it up to date."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*_NOT_COPIED), dirs_exist_ok=True)
    (folder / ".venv").mkdir()
    for entry in Path(sys.prefix).iterdir():
        if entry.name != ".ready":
            (folder / ".venv" / entry.name).symlink_to(entry)
    (folder / ".venv" / ".ready").touch()


async def _stop(process: asyncio.subprocess.Process) -> None:
    """End the processes of a session, and wait until all have ended."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    await process.wait()
    try:
        await until(lambda: not _exists(process.pid), within_s=20)
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
