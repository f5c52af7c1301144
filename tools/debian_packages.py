"""Debian packages that tests want beside Python's: installs what is missing where that is safe."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = {"prometheus": "promtool", "chromium": "chromium"}
"""Each package, and a program of it that a test runs."""


def missing() -> list[str]:
    """Return the packages whose program is not on PATH."""
    return [package for package, program in PACKAGES.items() if not shutil.which(program)]


def may_install() -> bool:
    """Return whether this is root of CI's machine, or of one that starts no services.

    Where systemd runs, a package's service would start with it: that is the user's to decide.
    """
    here = bool(os.environ.get("CI")) or not _systemd_runs()
    return bool(shutil.which("apt-get")) and os.geteuid() == 0 and here


def _systemd_runs() -> bool:
    return Path("/run/systemd/system").exists()


def main() -> None:
    """Install what is missing, or say which tests are skipped without it."""
    packages = missing()
    if not packages:
        return
    names = " ".join(packages)
    if not may_install():
        print(f"Tests that need them are skipped; for these: apt-get install {names}")
        return
    print(f"Installing Debian packages: {names}", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        command = ["apt-get", "--quiet", "--quiet", *words]
        done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL)
        if done.returncode != 0:
            # In CI the tests that need them fail; elsewhere they are skipped.
            print(f"apt-get {words[0]} failed; install by hand: {names}", file=sys.stderr)
            return


if __name__ == "__main__":
    main()
