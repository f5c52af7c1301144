"""The commands and settings that pages name exist."""

import re

import pytest
from typer.main import get_command

from send_whatsapp.cli.main import app
from send_whatsapp.settings import (
    GatewaySettings,
    StarterSettings,
    TemporalSettings,
    WorkerSettings,
)
from tests.conftest import ROOT
from tests.docs.conftest import PAGES, Page, name_of

TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
SETTINGS = {
    str(field.alias)
    for kind in (WorkerSettings, StarterSettings, GatewaySettings, TemporalSettings)
    for field in kind.model_fields.values()
}
ALWAYS = {"--help", "--install-completion"}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: name_of(page.path))


def unknown_names(line: str) -> list[str]:
    """Return the make targets, or our commands and options, that a command line makes up."""
    words = re.sub(r"\s#.*", "", line).split()
    while words and re.match(r"[A-Z_]+=", words[0]):
        del words[0]
    if words[:1] == ["make"]:
        return [word for word in words[1:] if word not in TARGETS and "=" not in word]
    if not words or words[0].rpartition("/")[2] != "send-whatsapp":
        return []
    command, words = get_command(app), words[1:]
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return [words[0]]
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts} | ALWAYS
    return [word for word in words if word.startswith("--") and word not in known]


@each_page
def test_every_command_that_a_page_shows_exists(page: Page) -> None:
    shown = page.commands + re.findall(r"`([^`\n]+)`", page.text)
    assert [name for line in shown for name in unknown_names(line)] == []


@each_page
def test_every_setting_that_a_page_names_exists(page: Page) -> None:
    named = set(re.findall(r"\b(?:CGB|GATEWAY|CALLBACKS|TEMPORAL|METRICS|LOG)_[A-Z_]+", page.text))
    assert {name for name in named - SETTINGS if not name.startswith("CGB_TEMPLATE_")} == set()


@pytest.mark.parametrize(
    ("line", "unknown"),
    [
        (".venv/bin/send-whatsapp send --to +1 --message x", []),
        ("send-whatsapp batch rate jan 600", []),
        ("temporal workflow list --task-queue send-whatsapp --query x", []),
        ("CGB_API_KEY=x make setup temporal    # comment", []),
        ("send-whatsapp sned --to +1", ["sned"]),
        ("send-whatsapp send --too +1", ["--too"]),
        ("send-whatsapp batch stop jan", ["stop"]),
        ("make teh-coffee", ["teh-coffee"]),
    ],
)
def test_a_name_that_does_not_exist_is_found(line: str, unknown: list[str]) -> None:
    assert unknown_names(line) == unknown
