"""The Temporal dev server: finds or builds its binary, and runs it on 127.0.0.1."""

import argparse
import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

VERSION = "1.8.2"
OLDEST_SERVER = (1, 29)
ROOT = Path(__file__).resolve().parent.parent
INSTALLED = ROOT / ".venv" / "bin" / "temporal"
DATABASE = ROOT / ".data" / "temporal.db"
DOWNLOAD_WITHIN_S = 90

# One history shard polls 20 times a second, which puts every hand-over on a 50 ms grid.
_DYNAMIC_CONFIG = {
    "history.transferProcessorMaxPollRPS": "10000",
    "history.timerProcessorMaxPollRPS": "10000",
}
_PRAGMAS = {"journal_mode": "WAL", "synchronous": "NORMAL"}


class NoServer(Exception):
    """No Temporal binary can be had; the message says what to install."""


def cache() -> Path:
    """Return where the binary of this version is kept for every clone on the machine."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "send-whatsapp" / "temporal" / VERSION / "temporal"


def install() -> Path:
    """Return `.venv/bin/temporal`, made once: from PATH, the cache, a download or the Go build.

    Raises NoServer where none of these works.
    """
    if _works(INSTALLED):
        return INSTALLED
    on_path = shutil.which("temporal")
    binary = Path(on_path) if on_path and _works(Path(on_path)) else cache()
    if not _works(binary) and not _download(binary) and not _build(binary):
        raise NoServer(
            "Temporal's CLI cannot be had here: open the internet, or install Go 1.26 and run"
            " `make temporal` again, or put a `temporal` with server 1.29 or newer on PATH"
        )
    INSTALLED.unlink(missing_ok=True)
    INSTALLED.symlink_to(binary)
    return INSTALLED


@dataclass
class DevServer:
    """A running dev server; it can be stopped and started again with its ports and database."""

    port: int
    ui_port: int | None
    database: Path | None
    log: Path
    process: subprocess.Popen[bytes] | None = None
    dynamic_config: Mapping[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Return host and port for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def ui_url(self) -> str:
        """Return the Web UI's address, or nothing without one."""
        return f"http://127.0.0.1:{self.ui_port}" if self.ui_port else ""

    async def start(self) -> None:
        """Start the process and return when it answers. Raises NoServer."""
        # In a thread of its own, since a download or a build takes its time.
        await asyncio.to_thread(install)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while True:
            try:
                client = await Client.connect(self.address)
                await client.count_workflows()
            except (RuntimeError, RPCError) as error:
                await self._not_yet(deadline, error)
            else:
                return

    async def _not_yet(self, deadline: float, error: Exception) -> None:
        ended = self.process is not None and self.process.poll() is not None
        if ended or time.monotonic() > deadline:
            words = self.log.read_text(errors="replace")[-2000:]
            raise NoServer(f"the dev server did not start:\n{words}") from error
        await asyncio.sleep(0.1)

    def command(self) -> list[str]:
        """Return the command line of the server."""
        words = [str(install()), "server", "start-dev", "--ip", "127.0.0.1"]
        words += ["--port", str(self.port), "--log-level", "error"]
        words += ["--ui-port", str(self.ui_port)] if self.ui_port else ["--headless"]
        for name, value in {**_DYNAMIC_CONFIG, **self.dynamic_config}.items():
            words += ["--dynamic-config-value", f"{name}={value}"]
        if self.database:
            self.database.parent.mkdir(parents=True, exist_ok=True)
            words += ["--db-filename", str(self.database)]
            for name, value in _PRAGMAS.items():
                words += ["--sqlite-pragma", f"{name}={value}"]
        return words

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the process and wait until it is gone."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)


@asynccontextmanager
async def dev_server(
    log: Path,
    *,
    database: Path | None = None,
    port: int = 0,
    ui_port: int | None = None,
    dynamic_config: Mapping[str, str] | None = None,
) -> AsyncIterator[DevServer]:
    """Run a dev server; port 0 means a free one, `ui_port` None no Web UI. Raises NoServer.

    `dynamic_config` are settings of the server itself, beside ours, by their names.
    """
    ui_port = free_port() if ui_port == 0 else ui_port
    server = DevServer(
        port or free_port(), ui_port, database, log, dynamic_config=dynamic_config or {}
    )
    await server.start()
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Return whether nobody listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _works(binary: Path) -> bool:
    if not binary.exists():
        return False
    try:
        told = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    server = re.search(r"Server (\d+)\.(\d+)", told.stdout)
    return server is not None and (int(server[1]), int(server[2])) >= OLDEST_SERVER


def _download(binary: Path) -> bool:
    """Try the SDK's own download, which is quick where the internet is open."""
    print(f"Downloading a Temporal dev server (up to {DOWNLOAD_WITHIN_S} s) ...", flush=True)
    folder = binary.parent / "download"
    folder.mkdir(parents=True, exist_ok=True)

    async def once() -> None:
        async with asyncio.timeout(DOWNLOAD_WITHIN_S):
            env = await WorkflowEnvironment.start_local(download_dest_dir=str(folder))
            await env.shutdown()

    try:
        asyncio.run(once())
    except Exception as error:
        print(f"  no download here ({type(error).__name__})", flush=True)
        return False
    found = next((f for f in folder.iterdir() if os.access(f, os.X_OK) and f.is_file()), None)
    if found is None or not _works(found):
        return False
    found.replace(binary)
    return True


def _build(binary: Path) -> bool:
    """Build the pinned Go module; a dot stands for five seconds."""
    go = shutil.which("go")
    if go is None:
        return False
    print(f"Building Temporal CLI {VERSION} with Go (3 to 5 minutes, once a machine) ", end="")
    binary.parent.mkdir(parents=True, exist_ok=True)
    partial = binary.with_suffix(f".{os.getpid()}")
    words = [go, "build", "-o", str(partial), "github.com/temporalio/cli/cmd/temporal"]
    log = binary.with_suffix(".log")
    with log.open("wb") as sink:
        build = subprocess.Popen(
            words, cwd=ROOT / "tools" / "temporal", stdout=sink, stderr=subprocess.STDOUT
        )
        while build.poll() is None:
            print(".", end="", flush=True)
            with suppress(subprocess.TimeoutExpired):
                build.wait(5)
    print(" done" if build.returncode == 0 else f" failed, see {log}", flush=True)
    if build.returncode != 0:
        return False
    partial.replace(binary)
    return True


def _run() -> int:
    """Run the server in the foreground on the usual ports."""
    for port in (7233, 8233):
        if not is_free(port):
            print(f"Port {port} is taken: is a server running already? Stop it, then try again.")
            return 1
    server = DevServer(7233, 8233, DATABASE, Path(os.devnull))
    print("Temporal at 127.0.0.1:7233, Web UI at http://127.0.0.1:8233, Ctrl-C ends it", flush=True)
    with suppress(KeyboardInterrupt):
        return subprocess.call(server.command())
    return 0


def main() -> None:
    """Run `install` or `run`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["install", "run"])
    what = parser.parse_args().what
    try:
        sys.exit(_run() if what == "run" else install().exists() - 1)
    except NoServer as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
