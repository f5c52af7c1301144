"""The template catalogue: what an entry allows, and how it is found."""

import pytest

from send_whatsapp.contract.catalogue import NO_CATALOGUE, Catalogue, variable_problems

CATALOGUE = Catalogue.model_validate(
    {
        "templates": {
            "visa_approved": {
                "flow": 1752250957765,
                "variables": ["name", "reference"],
                "text": "Dear {name}, your visa {reference} is approved.",
            },
            "Office-Closed": {"variables": []},
            "welcome": {"flow": "17"},
        }
    }
)


@pytest.mark.parametrize(
    "template",
    ["visa_approved", "Visa Approved", "VISA-APPROVED", "visaapproved", " visa _-approved"],
)
def test_an_entry_is_found_if_case_and_separators_differ(template: str) -> None:
    entry = CATALOGUE.entry(template)
    assert entry is not None
    assert entry.flow == "1752250957765"


@pytest.mark.parametrize("template", ["approved", "visa approved 2", "", "-_ "])
def test_other_names_are_not_listed(template: str) -> None:
    assert CATALOGUE.entry(template) is None
    assert CATALOGUE.required(template) is None


@pytest.mark.parametrize(
    ("template", "given", "fields"),
    [
        ("visa_approved", ["name", "reference"], []),
        ("visa_approved", ["reference", "name"], []),
        ("visa_approved", ["name"], ["variables.reference is missing"]),
        ("visa_approved", [], ["variables.name is missing", "variables.reference is missing"]),
        ("visa_approved", ["name", "reference", "age"], ["variables.age is not a variable"]),
        ("visa_approved", ["Name", "reference"], ["variables.name is missing", "variables.Name"]),
        ("office closed", [], []),
        ("office closed", ["name"], ["variables.name is not a variable"]),
        ("welcome", ["anything"], []),
        ("not listed", ["anything"], []),
    ],
)
def test_exactly_the_listed_variables_must_be_given(
    template: str, given: list[str], fields: list[str]
) -> None:
    problems = variable_problems(CATALOGUE.required(template), given)
    assert len(problems) == len(fields)
    for problem, beginning in zip(problems, fields, strict=True):
        assert str(problem).startswith(beginning)


def test_without_a_catalogue_any_variables_may_be_given() -> None:
    assert variable_problems(NO_CATALOGUE.required("visa_approved"), ["x"]) == []


def test_a_preview_has_the_values_and_keeps_what_is_missing() -> None:
    entry = CATALOGUE.entry("visa_approved")
    assert entry is not None
    assert entry.preview({"name": "{reference}"}) == (
        "Dear {reference}, your visa {reference} is approved."
    )
    welcome = CATALOGUE.entry("welcome")
    assert welcome is not None
    assert welcome.preview({}) is None
