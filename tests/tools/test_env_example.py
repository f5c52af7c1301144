"""`.env.example`: every setting with its default, and the specification's five mappings."""

import re

from send_whatsapp.settings import (
    ProviderSettings,
    StarterSettings,
    WorkerSettings,
    unknown_variables,
)
from tests.conftest import ROOT

TEXT = (ROOT / ".env.example").read_text()
SET = dict(re.findall(r"^([A-Z_]+)=(.*)$", TEXT, re.MULTILINE))
COMMENTED = dict(re.findall(r"^# ([A-Z_]+)=(.*)$", TEXT, re.MULTILINE))
KEY = {"CGB_API_KEY": "key"}


def test_it_names_every_setting() -> None:
    fields = [*WorkerSettings.model_fields.values(), *StarterSettings.model_fields.values()]
    assert {field.alias for field in fields if field.alias} <= SET.keys()


def test_it_names_only_settings() -> None:
    assert unknown_variables(SET | COMMENTED) == []


def test_its_values_are_the_defaults() -> None:
    assert WorkerSettings.load(SET | KEY) == WorkerSettings.load(KEY)
    assert StarterSettings.load(SET) == StarterSettings.load({})


def test_it_holds_no_key() -> None:
    assert SET["CGB_API_KEY"] == ""


def test_its_mappings_are_the_specifications_five() -> None:
    mappings = {name: value for name, value in COMMENTED.items() if name.startswith("CGB_")}
    assert ProviderSettings.load(mappings | KEY).templates.keys() == {
        "VISA_APPROVED",
        "VISA_REJECTED",
        "DOCUMENT_REQUEST",
        "APPOINTMENT_REMINDER",
        "STATUS_UPDATE",
    }
