"""`make system-packages`: installs the Debian packages that some tests and `make bench` need.

It uses only the standard library, since it may run before the virtual environment exists.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path


def _has_postgresql() -> bool:
    return any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


PACKAGES: dict[str, Callable[[], object]] = {
    "python3-venv": lambda: importlib.util.find_spec("ensurepip"),
    "chromium": lambda: shutil.which("chromium"),
    "faketime": lambda: shutil.which("faketime"),
    "npm": lambda: shutil.which("npm"),
    "prometheus": lambda: shutil.which("promtool"),
    "redis-server": lambda: shutil.which("redis-server"),
    "postgresql": _has_postgresql,
}
"""Each package, and how to see that it is not needed any more: it, or its program, is installed."""


def missing() -> list[str]:
    """Return the packages that are not installed."""
    return [package for package, is_installed in PACKAGES.items() if not is_installed()]


def main() -> None:
    """Install the missing packages; exit with a line that says what to do if that fails."""
    packages = missing()
    if not packages:
        return
    by_hand = f"apt-get install --no-install-recommends {' '.join(packages)}"
    if not shutil.which("apt-get") or os.geteuid() != 0:
        sys.exit(f"Run this as root on Debian: {by_hand}")
    print(f"Installing Debian packages: {', '.join(packages)}", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        command = ["apt-get", "--quiet", "--quiet", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{done.stderr}apt-get {arguments[0]} failed. Run it by hand: {by_hand}")


if __name__ == "__main__":
    main()
