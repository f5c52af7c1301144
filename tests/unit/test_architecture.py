"""The arrows of the house: who may import whom."""

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT

OURS = {
    "activities",
    "cgb",
    "contract",
    "registration",
    "settings",
    "simulator",
    "starters",
    "telemetry",
    "tools",
    "worker",
    "workflows",
}

ALLOWED: dict[str, set[str]] = {
    "cgb": set(),
    "contract": set(),
    "settings": set(),
    "telemetry": set(),
    "registration": {"contract"},
    "activities": {"contract", "cgb"},
    "workflows": {"contract", "activities"},
    "starters": {"contract", "settings", "telemetry"},
    "worker": OURS - {"simulator", "tools"},
    "simulator": set(),
}

EXCEPTIONS = {("starters/doctor.py", "cgb")}


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_arrows_point_one_way(room: str) -> None:
    folder = ROOT / room
    files = sorted(folder.rglob("*.py")) if folder.is_dir() else [ROOT / f"{room}.py"]
    assert files
    for path in files:
        name = str(path.relative_to(ROOT))
        others = (imported(path) & OURS) - {room} - ALLOWED[room]
        others -= {other for other in others if (name, other) in EXCEPTIONS}
        assert not others, f"{name} must not import {others}"


def test_every_module_says_in_its_first_line_what_lives_there() -> None:
    for room in OURS:
        folder = ROOT / room
        files = sorted(folder.rglob("*.py")) if folder.is_dir() else [ROOT / f"{room}.py"]
        for path in files:
            assert ast.get_docstring(ast.parse(path.read_text())), path
