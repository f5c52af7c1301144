"""The brokers of the peers, each started in a given folder with its data.

Redis and PostgreSQL are Debian's. Restate's server is in the folder with the peer's packages.
"""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.processes import Program
from tools.dev_server import ROOT, free_port, is_free

PACKAGES = ROOT / ".data" / "bench"
"""Where each peer has a folder with its programs and packages."""

IN_FLIGHT = 50


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
async def restate(folder: Path) -> AsyncIterator[tuple[Program, str]]:
    """Run a Restate server without telemetry. Its URL is three: ingress, admin API, and worker.

    It works on `IN_FLIGHT` invocations at a time, which is a limit per partition; hence only one.
    """
    ingress, admin, node, worker = (free_port() for _ in range(4))
    [binary] = PACKAGES.glob("restate/node_modules/@restatedev/restate-server-*/bin/restate-server")
    kept = {n: v for n, v in os.environ.items() if not n.startswith("RESTATE_")}
    environment = kept | {
        "RESTATE_BASE_DIR": str(folder),
        # At its start it still looks for a newer release on GitHub; no setting prevents that.
        "RESTATE_DISABLE_TELEMETRY": "true",
        "RESTATE_LISTEN_MODE": "tcp",
        "RESTATE_BIND_IP": "127.0.0.1",
        "RESTATE_ADVERTISED_HOST": "127.0.0.1",
        "RESTATE_BIND_PORT": str(node),
        "RESTATE_INGRESS__BIND_PORT": str(ingress),
        "RESTATE_ADMIN__BIND_PORT": str(admin),
        "RESTATE_ADMIN__DISABLE_WEB_UI": "true",
        "RESTATE_DEFAULT_NUM_PARTITIONS": "1",
        "RESTATE_WORKER__INVOKER__CONCURRENT_INVOCATIONS_LIMIT": str(IN_FLIGHT),
        "RESTATE_LOG_FILTER": "error",
    }
    with (folder / "log").open("ab") as log:
        server = Program([binary, "--no-logo"], environment=environment, stdout=log, stderr=log)
    async with _running(server, ingress) as program:
        yield program, " ".join(f"http://127.0.0.1:{port}" for port in (ingress, admin, worker))


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
