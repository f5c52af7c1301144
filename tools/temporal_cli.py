"""The Temporal CLI, which contains the dev server: found, downloaded or built once per machine."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from temporalio.testing import WorkflowEnvironment

VERSION = "1.8.2"
OLDEST_SERVER = (1, 29)
INSTALLED = Path(sys.executable).with_name("temporal")
GO_MODULE = Path(__file__).with_name("temporal")
DOWNLOAD_WITHIN_S = 90


class NoServer(Exception):
    """There is no Temporal dev server. The message says why, or what to install."""


def cache() -> Path:
    """Return the path of this version's binary that all clones on the machine share."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "send-whatsapp" / "temporal" / VERSION / "temporal"


def install() -> Path:
    """Return `.venv/bin/temporal`; create it first if it does not work.

    The binary comes from PATH, the cache, the SDK's download or a Go build, in this order. Raises
    NoServer if none of these works.
    """
    if _works(INSTALLED):
        return INSTALLED
    on_path = shutil.which("temporal")
    binary = Path(on_path) if on_path and _works(Path(on_path)) else cache()
    if not _works(binary) and not _download(binary) and not _build(binary):
        raise NoServer(
            "Cannot install the Temporal CLI. Allow internet access, or install Go 1.26 and run"
            " `make temporal` again, or put a `temporal` with server 1.29 or newer on PATH"
        )
    INSTALLED.unlink(missing_ok=True)
    INSTALLED.symlink_to(binary)
    return INSTALLED


def _works(binary: Path) -> bool:
    if not binary.exists():
        return False
    try:
        done = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    server = re.search(r"Server (\d+)\.(\d+)", done.stdout)
    return server is not None and (int(server[1]), int(server[2])) >= OLDEST_SERVER


def _download(binary: Path) -> bool:
    """Download the dev server as the SDK does; return whether that worked."""
    print(f"Downloading a Temporal dev server (up to {DOWNLOAD_WITHIN_S} s) ...", flush=True)
    folder = binary.parent / "download"
    folder.mkdir(parents=True, exist_ok=True)

    async def start_once() -> None:
        async with asyncio.timeout(DOWNLOAD_WITHIN_S):
            env = await WorkflowEnvironment.start_local(download_dest_dir=str(folder))
            await env.shutdown()

    try:
        asyncio.run(start_once())
    except Exception as error:
        print(f"  the download failed ({type(error).__name__})", flush=True)
        return False
    found = next((f for f in folder.iterdir() if os.access(f, os.X_OK) and f.is_file()), None)
    if found is None or not _works(found):
        return False
    found.replace(binary)
    return True


def _build(binary: Path) -> bool:
    """Build the pinned Go module; print a dot every five seconds. Return whether that worked."""
    go = shutil.which("go")
    if go is None:
        return False
    print(f"Building Temporal CLI {VERSION} with Go (3 to 5 minutes, once per machine) ", end="")
    binary.parent.mkdir(parents=True, exist_ok=True)
    partial = binary.with_suffix(f".{os.getpid()}")
    command = [go, "build", "-o", str(partial), "github.com/temporalio/cli/cmd/temporal"]
    log = binary.with_suffix(".log")
    with log.open("wb") as sink:
        build = subprocess.Popen(command, cwd=GO_MODULE, stdout=sink, stderr=subprocess.STDOUT)
        while build.poll() is None:
            print(".", end="", flush=True)
            with suppress(subprocess.TimeoutExpired):
                build.wait(5)
    print(" done" if build.returncode == 0 else f" failed, see {log}", flush=True)
    if build.returncode != 0:
        return False
    partial.replace(binary)
    return True


def main() -> None:
    """Install the CLI."""
    try:
        install()
    except NoServer as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
