"""The brokers of the peers: Debian's Redis and PostgreSQL, each started in a given folder."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.processes import Program
from tools.dev_server import free_port, is_free


@asynccontextmanager
async def redis(folder: Path) -> AsyncIterator[tuple[Program, str]]:
    """Run a Redis with an append-only file, as BullMQ's documentation advises for production."""
    port = free_port()
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
    command += ["--appendonly", "yes", "--save", "", "--logfile", str(folder / "log")]
    async with _running(Program(command), port) as program:
        yield program, f"redis://127.0.0.1:{port}/0"


@asynccontextmanager
async def postgresql(folder: Path) -> AsyncIterator[tuple[Program, str]]:
    """Run a PostgreSQL with its defaults. Raises FileNotFoundError if it is not installed."""
    binaries = _newest()
    # PostgreSQL refuses to run as root.
    user = "postgres" if os.getuid() == 0 else None
    data, port = folder / "data", free_port()
    if user:
        shutil.chown(folder, user)
        for above in (folder, folder.parent):
            above.chmod(0o711)
    subprocess.run(
        [binaries / "initdb", "--pgdata", data, "--auth", "trust", "--username", "bench"],
        check=True,
        cwd=folder,
        user=user,
        group=user,
        extra_groups=[] if user else None,
        stdout=subprocess.DEVNULL,
    )
    command = [str(binaries / "postgres"), "-D", str(data), "-p", str(port), "-k", str(folder)]
    command += ["-c", "listen_addresses=127.0.0.1", "-c", "log_min_messages=fatal"]
    async with _running(Program(command, folder=folder, user=user), port) as program:
        yield program, f"postgresql://bench@127.0.0.1:{port}/postgres"


def _newest() -> Path:
    """Return the folder with the programs of the newest PostgreSQL."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name)
    )
    if not found:
        raise FileNotFoundError("PostgreSQL is missing: run `make system-packages` as root")
    return found[-1]


@asynccontextmanager
async def none(folder: Path) -> AsyncIterator[tuple[None, str]]:
    """Run nothing, for a peer without a broker."""
    yield None, ""


@asynccontextmanager
async def _running(program: Program, port: int) -> AsyncIterator[Program]:
    try:
        async with asyncio.timeout(30):
            while is_free(port):
                await asyncio.sleep(0.05)
        yield program
    finally:
        program.kill()
