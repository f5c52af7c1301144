"""The Temporal dev server on 127.0.0.1, for development, tests and benchmarks."""

import argparse
import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from temporalio.client import Client
from temporalio.service import RPCError

from tools.temporal_cli import NoServer, install

ROOT = Path(__file__).resolve().parent.parent
DATABASE = ROOT / ".data" / "temporal.db"
PORT, UI_PORT = 7233, 8233

# By default a shard polls for tasks 20 times a second, so that each hand-over takes up to 50 ms.
_DYNAMIC_CONFIG = {
    "history.transferProcessorMaxPollRPS": "10000",
    "history.timerProcessorMaxPollRPS": "10000",
}
PRIVATE_UMASK = 0o077
"""New files of the server are for its user alone."""

_PRAGMAS = {"journal_mode": "WAL", "synchronous": "NORMAL"}


@dataclass
class DevServer:
    """A dev server that can be stopped and started again with the same ports and database.

    Without `ui_port` it has no Web UI; without `database` it keeps its data in memory.
    """

    port: int
    ui_port: int | None
    database: Path | None
    log: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Return host:port for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def ui_url(self) -> str:
        """Return the URL of the Web UI; empty without one."""
        return f"http://127.0.0.1:{self.ui_port}" if self.ui_port else ""

    async def start(self) -> None:
        """Start the process and wait until it answers. Raises NoServer."""
        # In a thread, since a download or a build takes minutes.
        await asyncio.to_thread(install)
        command = self.command()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, umask=PRIVATE_UMASK)
        deadline = time.monotonic() + 60
        while True:
            try:
                client = await Client.connect(self.address)
                await client.count_workflows()
            except (RuntimeError, RPCError) as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    log_end = self.log.read_text(errors="replace")[-2000:]
                    raise NoServer(f"the dev server did not start:\n{log_end}") from error
                await asyncio.sleep(0.1)
            else:
                return

    def command(self) -> list[str]:
        """Return the command line of the server. Makes its database private. Raises NoServer."""
        command = [str(install()), "server", "start-dev", "--ip", "127.0.0.1"]
        command += ["--port", str(self.port), "--log-level", "error"]
        command += ["--ui-port", str(self.ui_port)] if self.ui_port else ["--headless"]
        for name, value in _DYNAMIC_CONFIG.items():
            command += ["--dynamic-config-value", f"{name}={value}"]
        if self.database:
            make_private(self.database)
            command += ["--db-filename", str(self.database)]
            for name, value in _PRAGMAS.items():
                command += ["--sqlite-pragma", f"{name}={value}"]
        return command

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Stop the process with a signal and wait until it has ended."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)


def make_private(database: Path) -> None:
    """Create the folder of a database; let only the owner read it and the files that exist.

    The files contain the messages of all runs. Raises NoServer if they belong to somebody else.
    """
    folder = database.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        # SQLite adds files: temporal.db-wal, temporal.db-shm.
        for file in folder.iterdir():
            if file.name.startswith(database.name):
                file.chmod(0o600)
    except OSError as error:
        raise NoServer(
            f"Cannot protect {error.filename}, where the dev server keeps its data, from other"
            f" users ({error.strerror}): make it yours with chown, or delete it"
        ) from error


@asynccontextmanager
async def dev_server(
    log: Path,
    *,
    database: Path | None = None,
    port: int = 0,
    ui_port: int | None = None,
) -> AsyncIterator[DevServer]:
    """Run a dev server until the block ends. Raises NoServer.

    Port 0 means any free port; `ui_port` None means no Web UI.
    """
    ui_port = free_port() if ui_port == 0 else ui_port
    server = DevServer(port or free_port(), ui_port, database, log)
    await server.start()
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """Return a port of 127.0.0.1 that no process listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Return whether no process listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def main() -> None:
    """Run a server, by default on Temporal's usual ports, until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tools.dev_server", description=__doc__)
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--ui-port", type=int, default=UI_PORT)
    arguments = parser.parse_args()
    for port in (arguments.port, arguments.ui_port):
        if not is_free(port):
            sys.exit(
                f"Port {port} is in use. Stop the program that uses it, or choose other ports, for"
                " example with `make server SERVER_PORT=7240 UI_PORT=8240`. The worker and all"
                " starters then need TEMPORAL_ADDRESS=127.0.0.1:7240, and for links"
                " TEMPORAL_UI_URL=http://127.0.0.1:8240."
            )
    server = DevServer(arguments.port, arguments.ui_port, DATABASE, Path(os.devnull))
    try:
        command = server.command()
    except NoServer as error:
        sys.exit(str(error))
    print(f"Temporal: {server.address}. Web UI: {server.ui_url}. Stop with Ctrl-C.", flush=True)
    os.umask(PRIVATE_UMASK)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
