"""Template names: which flow a name means, and the reason if there is none."""

import pytest

from send_whatsapp.cgb.account_responses import Flow
from send_whatsapp.contract.templates import match, variable_name

NAMES = [
    "Visa Approved",
    "visa_rejected",
    "Document-Request",
    "Case STATUS_UPDATE (2027)",
    "Welcome new customer",
    "Welcome old customer",
    "twin",
    "twin",
    "T W I N s",
]
FLOWS = [Flow(str(number), name) for number, name in enumerate(NAMES)]


@pytest.mark.parametrize(
    ("template", "name", "matched_by"),
    [
        ("Visa Approved", "Visa Approved", "exact"),
        ("visa_approved", "Visa Approved", "case-insensitive"),
        ("VISAAPPROVED", "Visa Approved", "case-insensitive"),
        ("document request", "Document-Request", "case-insensitive"),
        ("twins", "T W I N s", "case-insensitive"),
        ("status-update", "Case STATUS_UPDATE (2027)", "partial"),
        ("new welcome", "Welcome new customer", "partial"),
        ("approved", "Visa Approved", "partial"),
    ],
)
def test_the_first_step_with_one_match_wins(template: str, name: str, matched_by: str) -> None:
    found = match(template, FLOWS)
    assert found.flow_id == str(NAMES.index(name))
    assert found.matched_by == matched_by


@pytest.mark.parametrize("template", ["approve", "visa approved now", "-_ ", "!", "nothing"])
def test_parts_of_words_do_not_match(template: str) -> None:
    found = match(template, FLOWS)
    assert found.flow_id is None
    assert found.reason == "no flow matches the template"


@pytest.mark.parametrize(("template", "name"), [("twin", "twin"), ("welcome", "Welcome new")])
def test_several_matches_are_no_match_and_are_listed(template: str, name: str) -> None:
    found = match(template, FLOWS)
    assert found.flow_id is None
    assert name in (found.reason or "")


def test_a_long_list_of_matches_is_cut() -> None:
    reason = match("same", [Flow(str(i), "same\x00" + "x" * 99) for i in range(9)]).reason
    assert reason == "no flow matches the template"
    reason = match("same", [Flow(str(i), f"same {i}") for i in range(9)]).reason
    assert (reason or "").endswith("and 4 more")


@pytest.mark.parametrize(
    ("template", "name"),
    [("visa approved", "VISA_APPROVED"), ("a--b", "A_B"), ("é1", "_1"), ("Über", "_BER")],
)
def test_the_variable_of_a_template(template: str, name: str) -> None:
    assert variable_name(template) == name
