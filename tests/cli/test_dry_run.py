"""Dry runs show what would be sent, and start nothing."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from simulator.faults import Fault
from simulator.process import Simulator
from tests.conftest import ROOT, CommandResult, run_command

NOBODY = "127.0.0.1:1"
CATALOGUE = {"TEMPLATES_FILE": str(ROOT / "examples" / "templates.yaml")}
BOTH = ("--var", "name=Ada", "--var", "reference=V-17")


async def dry_run(*options: str, **variables: str) -> CommandResult:
    """Run `send --dry-run` without a Temporal server."""
    send = ("send", "--to", "(415) 555-0123", *options, "--dry-run")
    return await run_command(*send, address=NOBODY, **variables)


def with_key(provider: Simulator, **variables: str) -> dict[str, str]:
    return {"CGB_API_URL": provider.url, "CGB_API_KEY": provider.key} | variables


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (("--message", "Hello"), {"kind": "text", "text": "Hello"}),
        (
            ("--file", "https://example.com/a.pdf", "--file-type", "document"),
            {"kind": "media", "fileType": "document", "fileUrl": "https://example.com/a.pdf"},
        ),
        (
            ("--template", "visa-approved", *BOTH),
            {
                "kind": "template",
                "template": "visa-approved",
                "flow": "1752250957765",
                "flowFoundBy": "catalogue",
                "variables": {"name": "Ada", "reference": "V-17"},
                "preview": "Dear Ada, your visa V-17 is approved.",
            },
        ),
        (
            ("--template", "visa_rejected", "--var", "name=Ada"),
            {"flow": None, "preview": "Dear Ada, your visa is rejected."},
        ),
        (("--template", "not_listed", "--var", "x=1"), {"variables": {"x": "1"}, "preview": None}),
    ],
)
async def test_it_shows_the_kind_and_its_fields(
    options: tuple[str, ...], shown: dict[str, Any]
) -> None:
    done = await dry_run(*options, "--json", **CATALOGUE)
    assert done.code == 0, done.err
    assert done.json["to"] == "+14155550123"
    assert shown.items() <= done.json.items()


async def test_without_a_key_it_says_that_the_worker_looks_the_flow_up() -> None:
    done = await dry_run("--template", "visa_rejected", "--var", "name=Ada", **CATALOGUE)
    assert done.code == 0
    assert "the worker will look it up" in done.out
    assert "Dear Ada, your visa is rejected." in done.out


async def test_with_a_key_it_asks_the_provider_which_flow_a_name_finds(provider: Simulator) -> None:
    done = await dry_run("--template", "visa_rejected", "--json", **with_key(provider))
    assert (done.json["flow"], done.json["flowFoundBy"]) == ("1752250957766", "exact")
    assert [seen["route"] for seen in await provider.requests()] == ["list_flows"]


async def test_a_fallback_is_shown_if_no_flow_matches(provider: Simulator) -> None:
    send = ("--template", "nothing", "--fallback", "Hello", "--json")
    done = await dry_run(*send, **with_key(provider))
    assert done.code == 0
    assert done.json["kind"] == "text"
    assert done.json["text"] == "Hello"
    assert done.json["fallbackReason"] == "no flow matches the template"


async def test_nothing_to_send_ends_with_code_2(provider: Simulator) -> None:
    done = await dry_run("--template", "nothing", "--json", **with_key(provider))
    assert done.code == 2
    assert done.json["error"]["type"] == "TemplateNotFound"


async def test_a_provider_that_fails_changes_nothing_but_the_note(provider: Simulator) -> None:
    await provider.faults(Fault(route="list_flows", status=503))
    done = await dry_run("--template", "visa_rejected", **with_key(provider))
    assert done.code == 0
    assert "could not list the flows: HTTP 503, so the worker will look it up" in done.out


@pytest.mark.parametrize(
    ("options", "variables", "problem"),
    [
        (("--template", "visa_approved", "--var", "name=Ada"), CATALOGUE, "variables.reference"),
        (("--template", "visa_approved", *BOTH, "--var", "x=1"), CATALOGUE, "variables.x"),
        (("--message", " "), {}, "message"),
        (("--message", "x", "--key", "batch-1"), {}, "batch-"),
        (("--message", "x"), {"TEMPLATES_FILE": "missing.yaml"}, "TEMPLATES_FILE cannot be read"),
        (("--template", "x"), {"CGB_API_KEY": "k", "CGB_API_URL": "ftp://x"}, "CGB_API_URL"),
    ],
)
async def test_what_cannot_be_sent_ends_with_code_2(
    options: tuple[str, ...], variables: dict[str, str], problem: str
) -> None:
    done = await dry_run(*options, **variables)
    assert done.code == 2
    assert problem in done.err


LATER = ("--at", "2027-01-31T03:00:00Z")


@pytest.mark.parametrize(
    ("options", "time", "words"),
    [
        (("--window", "00:00-23:59", "--at", "2026-01-31T03:00:00Z"), None, ""),
        (
            ("--window", "09:00-18:00", *LATER),
            "2027-01-31T17:00:00Z",
            " at 09:00 in America/Los_Angeles (2027-01-31T17:00:00Z)",
        ),
        (
            ("--window", "09:00-18:00", "--zone", "Asia/Jerusalem", *LATER),
            "2027-01-31T07:00:00Z",
            " at 09:00 in Asia/Jerusalem (2027-01-31T07:00:00Z)",
        ),
        (("--window", "22:00-06:00", "--zone", "UTC", *LATER), "2027-01-31T03:00:00Z", " at 2027-"),
        (LATER, "2027-01-31T03:00:00Z", " at 2027-"),
    ],
)
async def test_it_shows_when_the_message_would_go_out(
    options: tuple[str, ...], time: str | None, words: str
) -> None:
    done = await dry_run("--message", "x", *options, "--json")
    assert (done.code, done.json["sendsAt"]) == (0, time)
    shown = await dry_run("--message", "x", *options)
    assert shown.out.startswith(f"Would send a text to +14155550123{words}")


async def test_a_message_whose_window_opens_too_late_would_not_be_sent() -> None:
    now = datetime.now(UTC)
    window = f"{now + timedelta(hours=2):%H:%M}-{now + timedelta(hours=3):%H:%M}"
    options = ("--window", window, "--zone", "UTC", "--expires-in", "30m")
    done = await dry_run("--message", "x", *options, "--json")
    assert (done.code, done.json["error"]["type"]) == (2, "Expired")
    assert "after --expires-in" in done.json["error"]["message"]


@pytest.mark.parametrize("command", ["send", "batch"])
@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--zone", "UTC"), "--zone needs --window"),
        (("--window", "09:00"), "--window must be two times of a day"),
        (("--window", "09:00-"), "--window is wrong: to is not a time of day"),
        (("--window", "9-20"), "--window is wrong: from is not a time of day"),
        (("--window", "09:00-20:00-21:00"), "--window is wrong: to is not a time of day"),
        (("--window", "09:00-09:00"), "--window is wrong: to is the same time as from"),
        (
            ("--window", "09:00-20:00", "--zone", "Mars/Phobos"),
            "--zone is wrong: zone is not a known time zone",
        ),
        (("--window", "09:00-20:00", "--zone", ""), "--zone is wrong"),
    ],
)
async def test_a_wrong_window_ends_with_code_2(
    tmp_path: Path, command: str, options: tuple[str, ...], problem: str
) -> None:
    for dry in (("--dry-run",), ()):
        if command == "send":
            send = ("send", "--to", "(415) 555-0123", "--message", "x", *options, *dry)
            done = await run_command(*send, address=NOBODY)
        else:
            (tmp_path / "a.csv").write_text("to,message\n+14155550123,x\n")
            send = ("batch", "send", str(tmp_path / "a.csv"), "--key", "k", *options, *dry)
            done = await run_command(*send, address=NOBODY)
        assert done.code == 2
        assert problem in done.err


async def test_a_dry_run_of_a_batch_shows_when_its_rows_would_go_out(tmp_path: Path) -> None:
    numbers = ("+14155550123", "+4915123456789", "+4915123456788", "+972501234567")
    text = "to,message\n" + "".join(f"{number},x\n" for number in numbers)
    options = ("--window", "09:00-20:00", "--at", "2027-01-31T07:30:00Z")
    done = await batch_dry_run(tmp_path / "a.csv", text, *options, "--json")
    assert [(each["at"], each["rows"]) for each in done.json["sendTimes"]] == [
        ("2027-01-31T07:30:00Z", 1),
        ("2027-01-31T08:00:00Z", 2),
        ("2027-01-31T17:00:00Z", 1),
    ]
    shown = await batch_dry_run(tmp_path / "a.csv", text, *options)
    assert "2 rows would go out at 09:00 in Europe/Berlin (2027-01-31T08:00:00Z)" in shown.out
    at_once = await batch_dry_run(tmp_path / "a.csv", text)
    assert "would go out" not in at_once.out


async def batch_dry_run(file: Path, text: str, *options: str, **variables: str) -> CommandResult:
    file.write_text(text)
    send = ("batch", "send", str(file), "--key", "k", *options, "--dry-run")
    return await run_command(*send, address=NOBODY, **variables)


async def test_a_dry_run_of_a_batch_shows_flows_and_previews(
    tmp_path: Path, provider: Simulator
) -> None:
    text = "to,template,name,reference\n+14155550123,visa_approved,Ada,V-17\n"
    text += "+14155550124,visa rejected,Bob,\n"
    options = ("--empty-cells", "skip")
    variables = with_key(provider, **CATALOGUE)
    done = await batch_dry_run(tmp_path / "a.csv", text, *options, "--json", **variables)
    assert [row["preview"] for row in done.json["preview"]] == [
        "Dear Ada, your visa V-17 is approved.",
        "Dear Bob, your visa is rejected.",
    ]
    flows = [(row["kind"], row["flow"]) for row in done.json["preview"]]
    assert flows == [("template", "1752250957765"), ("template", "1752250957766")]
    shown = await batch_dry_run(tmp_path / "a.csv", text, *options, **variables)
    assert "Template visa rejected: flow 1752250957766 (case-insensitive)" in shown.out
    assert "preview: Dear Bob, your visa is rejected." in shown.out
    assert len(await provider.requests("list_flows")) == 2


@pytest.mark.parametrize("empty_cells", ["refuse", "skip"])
@pytest.mark.parametrize("dry", [True, False])
async def test_an_empty_cell_of_a_listed_variable_is_a_wrong_row(
    tmp_path: Path, empty_cells: str, dry: bool
) -> None:
    file = tmp_path / "a.csv"
    file.write_text("to,name,reference\n+14155550123,Ada,V-17\n+14155550124,Bob,\n")
    send = ["batch", "send", str(file), "--key", "k", "--template", "visa_approved"]
    send += ["--empty-cells", empty_cells, *(["--dry-run"] if dry else [])]
    done = await run_command(*send, address=NOBODY, **CATALOGUE)
    assert done.code == 2
    assert "line 3: variables.reference" in done.err
    assert "line 2" not in done.err


async def test_a_batch_with_nothing_to_send_in_a_row_ends_with_code_2(
    tmp_path: Path, provider: Simulator
) -> None:
    text = "to,template\n+14155550123,visa_rejected\n+14155550124,nothing\n"
    done = await batch_dry_run(tmp_path / "a.csv", text, **with_key(provider))
    assert done.code == 2
    assert "line 3" in done.err
