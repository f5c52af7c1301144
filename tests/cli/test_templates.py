"""The command `templates`: flows, and what a template's name means."""

import pytest

from simulator.process import Simulator
from tests.conftest import CommandResult, run_command

FLOWS = [
    {"id": "11", "name": "Visa Approved", "text": "x"},
    {"id": "12", "name": "Visa Rejected", "text": "x"},
    {"id": "13", "name": "weekly offer [summer]", "text": "x"},
]


async def templates(provider: Simulator, *words: str, **variables: str) -> CommandResult:
    await provider.flows(FLOWS)
    where = {"CGB_API_URL": provider.url, "CGB_API_KEY": provider.key}
    # No Temporal server listens at this address; the command needs none.
    return await run_command("templates", *words, address="127.0.0.1:1", **(where | variables))


async def test_all_flows_and_configured_names_are_listed(provider: Simulator) -> None:
    configured = {"CGB_TEMPLATE_OFFER": "13", "CGB_TEMPLATE_OLD": "9"}
    done = await templates(provider, **configured)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "11  Visa Approved",
        "12  Visa Rejected",
        "13  weekly offer [summer]",
        "CGB_TEMPLATE_OFFER -> 13  weekly offer [summer]",
        "CGB_TEMPLATE_OLD -> 9  the account has no such flow: correct the id",
    ]
    as_json = (await templates(provider, "--json", **configured)).json
    assert [flow["id"] for flow in as_json["flows"]] == ["11", "12", "13"]
    assert as_json["configured"] == {"OFFER": "13", "OLD": "9"}


@pytest.mark.parametrize(
    ("name", "flow", "matched_by"),
    [
        ("Visa Approved", "11", "exact"),
        ("visa_approved", "11", "case-insensitive"),
        ("summer-offer", None, None),
        ("weekly", "13", "partial"),
        ("visa", None, None),
        ("my offer", "12", "configured"),
    ],
)
async def test_a_name_shows_its_flow_or_why_it_has_none(
    provider: Simulator, name: str, flow: str | None, matched_by: str | None
) -> None:
    done = await templates(provider, name, "--json", CGB_TEMPLATE_MY_OFFER="12")
    assert done.code == (0 if flow else 1)
    assert (done.json["flowId"], done.json["matchedBy"]) == (flow, matched_by)
    shown = await templates(provider, name, CGB_TEMPLATE_MY_OFFER="12")
    if flow:
        assert shown.out.startswith(f"{name} -> {flow}  ")
    else:
        assert "CGB_TEMPLATE_" in shown.out


@pytest.mark.parametrize(
    ("variables", "code", "reason"),
    [
        ({"CGB_API_KEY": ""}, 2, "CGB_API_KEY is not set"),
        ({"CGB_API_KEY": "wrong"}, 1, "CGB_API_KEY"),
        ({"CGB_API_URL": "http://127.0.0.1:1"}, 1, "CGB_API_URL"),
    ],
)
async def test_what_is_wrong_is_named(
    provider: Simulator, variables: dict[str, str], code: int, reason: str
) -> None:
    done = await templates(provider, **variables)
    assert (done.code, done.out) == (code, "")
    assert reason in done.err
