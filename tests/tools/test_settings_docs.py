"""The generated files: docs/settings.md and `.env.example` are current, complete and correct."""

import re

from send_whatsapp.settings import (
    GatewaySettings,
    StarterSettings,
    TemporalSettings,
    WorkerSettings,
    unknown_variables,
)
from tests.conftest import ROOT
from tools import settings_docs

PAGE = (ROOT / "docs" / "settings.md").read_text()
TEXT = (ROOT / ".env.example").read_text()
SET = dict(re.findall(r"^([A-Z_]+)=(.*)$", TEXT, re.MULTILINE))
COMMENTED = dict(re.findall(r"^# ([A-Z_]+)=(.*)$", TEXT, re.MULTILINE))
KEY = {"CGB_API_KEY": "key"}
CLASSES = (WorkerSettings, StarterSettings, GatewaySettings, TemporalSettings)


def test_the_generated_files_are_current() -> None:
    assert settings_docs.page() == PAGE, "run `make generate`"
    assert settings_docs.env_example() == TEXT, "run `make generate`"


def test_the_page_describes_every_setting_once() -> None:
    aliases = {field.alias for settings in CLASSES for field in settings.model_fields.values()}
    documented = re.findall(r"^\| `(.*?)` \|.* \| \S.* \|$", PAGE, re.MULTILINE)
    assert sorted(documented) == sorted(map(str, aliases))


def test_env_example_names_every_setting() -> None:
    aliases = {str(field.alias) for kind in CLASSES for field in kind.model_fields.values()}
    assert aliases - {"CGB_TEMPLATE_<NAME>"} <= SET.keys() | COMMENTED.keys()


def test_env_example_names_only_settings() -> None:
    assert unknown_variables(SET | COMMENTED) == []


def test_the_values_in_env_example_are_the_defaults() -> None:
    assert WorkerSettings.load(SET | KEY) == WorkerSettings.load(KEY)
    assert GatewaySettings.load(SET) == GatewaySettings.load({})


def test_env_example_holds_no_key() -> None:
    assert SET["CGB_API_KEY"] == ""


def test_env_example_shows_how_to_map_templates() -> None:
    mappings = {name: value for name, value in COMMENTED.items() if name.startswith("CGB_")}
    assert WorkerSettings.load(mappings | KEY).templates.keys() == {
        "VISA_APPROVED",
        "VISA_REJECTED",
        "DOCUMENT_REQUEST",
        "APPOINTMENT_REMINDER",
        "STATUS_UPDATE",
    }
