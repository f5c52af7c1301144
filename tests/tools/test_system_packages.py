"""`make system-packages`: installs only what is missing, and only as root."""

import os
import shutil
from collections.abc import Callable

import pytest

from tests.conftest import ROOT
from tools import system_packages


def absent(monkeypatch: pytest.MonkeyPatch, *programs: str) -> None:
    which: Callable[[str], str | None] = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name in programs else which(name))


def test_a_user_who_is_not_root_gets_the_command_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    absent(monkeypatch, "chromium")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SystemExit, match=r"as root on Debian: apt-get install .*chromium"):
        system_packages.main()


def test_nothing_happens_if_nothing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_packages, "missing", list)
    system_packages.main()


@pytest.mark.parametrize("target", ["test", "check", "bench"])
def test_only_its_own_target_installs_packages(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    recipe = makefile.split(f"\n{target}: ")[1].split("\n\n")[0]
    assert "system-packages" not in recipe
    assert "apt-get" not in recipe
