"""TEMPLATES_FILE: a wrong file stops the process with one line that says what is wrong."""

from pathlib import Path

import pytest

from send_whatsapp.settings import SettingsError, load_catalogue
from tests.conftest import ROOT

EXAMPLE = ROOT / "examples" / "templates.yaml"


def test_without_a_file_no_template_is_listed() -> None:
    assert load_catalogue(None).templates == {}


def test_the_example_is_a_catalogue() -> None:
    catalogue = load_catalogue(str(EXAMPLE))
    entry = catalogue.entry("Visa Approved")
    assert entry is not None
    assert (entry.flow, entry.variables) == ("1752250957765", ["name", "reference"])
    assert catalogue.required("office_closed") == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", 'has no key "templates"'),
        ("- visa", 'has no key "templates"'),
        ("template: {}", 'has no key "templates"'),
        ("templates: {}\nowner: me", "owner is not a known field"),
        ("templates:", "templates is not an object"),
        ("templates: [visa]", "templates is not an object"),
        ("templates: {visa: }", "templates.visa is not an object"),
        ("templates: {visa: {flows: 1}}", "templates.visa.flows is not a known field"),
        ("templates: {visa: {flow: abc}}", "templates.visa.flow is not the id of a flow"),
        ("templates: {visa: {flow: 0}}", "templates.visa.flow is not the id of a flow"),
        ("templates: {visa: {flow: 1.5}}", "templates.visa.flow is not the id of a flow"),
        ("templates: {visa: {flow: true}}", "templates.visa.flow is not the id of a flow"),
        ("templates: {visa: {variables: name}}", "templates.visa.variables is not a list"),
        ("templates: {visa: {variables: [a, a]}}", "templates.visa.variables has a name twice"),
        ("templates: {visa: {variables: [no]}}", "templates.visa.variables.0 is not text"),
        ("templates: {visa: {variables: [1]}}", "templates.visa.variables.0 is not text"),
        ("templates: {visa: {variables: ['']}}", "templates.visa.variables.0 is empty"),
        (
            "templates: {visa: {variables: [fallback_message]}}",
            "templates.visa.variables.0 is not a variable of a template",
        ),
        ("templates: {visa: {text: 1}}", "templates.visa.text is not text"),
        ("templates: {visa: {text: ''}}", "templates.visa.text is empty"),
        (
            "templates: {visa: {variables: [name], text: 'Dear {nmae}'}}",
            "templates.visa.text has {nmae}, which is not one of the variables",
        ),
        ("templates: {2027: {}}", "templates.2027 is not text"),
        ("templates: {'-_': {}}", "templates.-_ has only spaces, - and _"),
        ("templates: {'': {}}", "templates. is empty (expected 1 to 200 characters)"),
        (
            "templates: {visa_approved: {}, Visa Approved: {}}",
            'templates.Visa Approved means the same template as "visa_approved"',
        ),
        ("templates: {visa: {}, visa: {}}", 'has the key "visa" twice in line 1'),
        ("templates: {visa: {flow: 1, flow: 2}}", 'has the key "flow" twice in line 1'),
        ("templates:\n  visa: {flow", "is not valid YAML in line"),
        ("templates: !!python/object:os.system {}", "is not valid YAML in line 1"),
        ("templates: {? [a] : {}}", "is not valid YAML in line 1"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(tmp_path: Path, content: str, problem: str) -> None:
    file = tmp_path / "templates.yaml"
    file.write_text(content)
    with pytest.raises(SettingsError) as refused:
        load_catalogue(str(file))
    line = str(refused.value)
    assert line.startswith("TEMPLATES_FILE")
    assert problem in line
    assert line.endswith("; for example TEMPLATES_FILE=examples/templates.yaml")
    assert "\n" not in line


@pytest.mark.parametrize("kind", ["missing", "folder", "latin-1", "nul"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "templates.yaml"
    if kind == "folder":
        file.mkdir()
    elif kind == "latin-1":
        file.write_bytes("templates: {größe: {}}".encode("latin-1"))
    elif kind == "nul":
        file = Path("a\0b")
    with pytest.raises(SettingsError, match="TEMPLATES_FILE cannot be read"):
        load_catalogue(str(file))
