"""The Temporal CLI, which contains the dev server: found, downloaded or built once per machine."""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

VERSION = "1.8.2"
RELEASE = f"https://github.com/temporalio/cli/releases/download/v{VERSION}"
# SHA-256 of the archives by system and processor, from the release's checksums.txt.
ARCHIVES = {
    "linux_amd64": "d8421bda989e6514b4bdb4d63a9012a8a05a806892e881a5aad8510496349a94",
    "linux_arm64": "83600a8fac6e3da54093e5da6918d399f501532b9f1172235603f9606f4ac6e4",
    "darwin_amd64": "489d7f5420cae02b559774ac23df035141954c33a51dba96f5759a0ddccdf1b6",
    "darwin_arm64": "dacdc3587682c04cf27e67c8878ca2d755230b6ad63c0c6ebddd7348ae90ed94",
}
_PROCESSORS = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
OLDEST_SERVER = (1, 29)
INSTALLED = Path(sys.executable).with_name("temporal")
GO_MODULE = Path(__file__).with_name("temporal")
DOWNLOAD_WITHIN_S = 300
NO_DATA_FOR_S = 15


class NoServer(Exception):
    """There is no Temporal dev server. The message says why, or what to install."""


def cache() -> Path:
    """Return the path of this version's binary that all clones on the machine share."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "send-whatsapp" / "temporal" / VERSION / "temporal"


def install() -> Path:
    """Return `.venv/bin/temporal`; create it first if it does not work.

    The binary comes from PATH, the cache, a download or a Go build, in this order. The download is
    used only if it is the published archive; the build is pinned by go.sum. Raises NoServer if none
    of these works.
    """
    if _works(INSTALLED):
        return INSTALLED
    on_path = shutil.which("temporal")
    binary = Path(on_path) if on_path and _works(Path(on_path)) else cache()
    if not _works(binary) and not download(binary) and not _build(binary):
        raise NoServer(
            "Cannot install the Temporal CLI. Allow access to github.com, or install Go 1.26 and"
            " run `make temporal` again, or put a `temporal` with server 1.29 or newer on PATH"
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


def download(binary: Path) -> bool:
    """Download the pinned release; return whether that worked."""
    kind = f"{sys.platform}_{_PROCESSORS.get(platform.machine())}"
    if kind not in ARCHIVES:
        return False
    print(f"Downloading Temporal CLI {VERSION} ...", flush=True)
    binary.parent.mkdir(parents=True, exist_ok=True)
    archive = binary.with_suffix(f".{os.getpid()}.tar.gz")
    partial = binary.with_suffix(f".{os.getpid()}")
    try:
        _fetch(f"{RELEASE}/temporal_cli_{VERSION}_{kind}.tar.gz", archive)
        with archive.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != ARCHIVES[kind]:
            print(f"  not used: its SHA-256 is {found}, not {ARCHIVES[kind]}", flush=True)
            return False
        with tarfile.open(archive) as files, partial.open("wb") as file:
            member = files.extractfile("temporal")
            if member is None:
                return False
            shutil.copyfileobj(member, file)
        partial.chmod(0o755)
        if not _works(partial):
            return False
        partial.replace(binary)
        return True
    except (OSError, KeyError, tarfile.TarError) as error:
        print(f"  the download failed ({type(error).__name__})", flush=True)
        return False
    finally:
        archive.unlink(missing_ok=True)
        partial.unlink(missing_ok=True)


def _fetch(url: str, target: Path) -> None:
    """Download a file. Raises OSError; also if it takes too long."""
    deadline = time.monotonic() + DOWNLOAD_WITHIN_S
    with urllib.request.urlopen(url, timeout=NO_DATA_FOR_S) as answer, target.open("wb") as file:
        while data := answer.read(1 << 16):
            file.write(data)
            if time.monotonic() > deadline:
                raise TimeoutError


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
