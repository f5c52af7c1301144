"""The command `doctor`: it names what is wrong, and nothing else."""

from pathlib import Path

import pytest

from simulator.faults import Fault
from simulator.process import Simulator
from tests.cli.conftest import Cli
from tests.conftest import ROOT, wrong_clock


async def test_the_doctor_finds_nothing_wrong(cli: Cli, provider: Simulator) -> None:
    done = await cli(
        "doctor",
        CGB_API_URL=provider.url,
        CGB_API_KEY=provider.key,
        CGB_TEMPLATE_X="1752250957765",
    )
    assert done.code == 0, done.out
    assert {line.split()[0] for line in done.out.splitlines()} == {"ok"}


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({}, "CGB_API_KEY is not set"),
        ({"CGB_API_KEY": "bad"}, "refused"),
        ({"CGB_API_KEY": "demo-key", "CGB_TEMPLATE_X": "5"}, "no flow 5"),
        ({"CGB_API_KEY": "demo-key", "CGB_TIMOUT": "5"}, "CGB_TIMEOUT"),
        ({"CGB_API_KEY": "demo-key", "CGB_DEFAULT_REGION": "Mars"}, "CGB_DEFAULT_REGION"),
        ({"CGB_API_KEY": "demo-key", "TEMPORAL_TASK_QUEUE": "nobody"}, "make worker"),
        ({"CGB_API_KEY": "demo-key", "TEMPORAL_ADDRESS": "127.0.0.1:1"}, "Temporal does not"),
        ({"CGB_API_KEY": "demo-key", "CGB_API_URL": "http://127.0.0.1:1"}, "CGB_API_URL"),
    ],
)
async def test_the_doctor_names_what_is_wrong(
    cli: Cli, provider: Simulator, variables: dict[str, str], line: str
) -> None:
    done = await cli("doctor", **({"CGB_API_URL": provider.url} | variables))
    assert done.code == 4
    assert any(found.startswith("FAILED") and line in found for found in done.out.splitlines())


async def test_the_doctor_names_all_wrong_settings_at_once(cli: Cli, provider: Simulator) -> None:
    wrong = {
        "CGB_TIMEOUT": "5",
        "LOG_LEVEL": "loud",
        "GATEWAY_BIND": "here",
        "TEMPORAL_UI_URL": "ui",
        "TEMPORAL_TLS": "maybe",
    }
    misspelt = {
        "CGB_RETRY_ATTEMPT": "CGB_RETRY_ATTEMPTS",
        "TEMPORAL_ADRESS": "TEMPORAL_ADDRESS",
        "GATEWAY_TOKEN": "GATEWAY_TOKENS",
        "OTEL_EXPORTER_OTLP_ENDPIONT": "OTEL_EXPORTER_OTLP_ENDPOINT",
    }
    done = await cli("doctor", "--json", **wrong, **dict.fromkeys(misspelt, "x"))
    assert (done.code, done.json["ok"]) == (4, False)
    failed = [each["message"] for each in done.json["checks"] if not each["ok"]]
    named = {message.split()[0]: message for message in failed}
    assert named.keys() >= {"CGB_API_KEY", *wrong, *misspelt}
    assert len(failed) == len(set(failed))
    for name, meant in misspelt.items():
        assert named[name].endswith(f"did you mean {meant}?")


async def test_with_json_the_doctor_prints_each_check(cli: Cli, provider: Simulator) -> None:
    done = await cli("doctor", "--json", CGB_API_URL=provider.url, CGB_API_KEY=provider.key)
    assert (done.code, done.json["ok"]) == (0, True)
    checks = {each["check"]: each["ok"] for each in done.json["checks"]}
    assert checks.keys() >= {"settings", "Temporal", "worker", "provider key", "flows"}
    assert set(checks.values()) == {True}


CALLERS = """
callers:
  shop: {token: the-token-of-shop, callback: shop}
  crm: {token: the-token-of-crm-, callback: orders}
  support: {token: the-token-of-support}
"""
CALLBACKS = "callbacks: {shop: {url: 'https://shop.example.com/', secret_file: secret}}"


@pytest.mark.parametrize(
    ("callers", "callbacks", "findings"),
    [
        (None, CALLBACKS, {"CALLBACKS_FILE declares shop": True}),
        (CALLERS, CALLBACKS, {"the caller crm uses orders": False, "declares shop": True}),
        (CALLERS, None, {"the caller crm uses orders": False, "caller shop uses shop": False}),
        (CALLERS, "callbacks: {shop: {}}", {"CALLBACKS_FILE: callbacks.shop.url": False}),
        ("callers: {shop: {}}", CALLBACKS, {"GATEWAY_CALLERS_FILE: callers.shop": False}),
        ("callers: {shop: {token: the-token-of-shop}}", None, {}),
    ],
)
async def test_the_doctor_names_callbacks_that_callers_use_and_the_worker_lacks(
    cli: Cli,
    provider: Simulator,
    tmp_path: Path,
    callers: str | None,
    callbacks: str | None,
    findings: dict[str, bool],
) -> None:
    (tmp_path / "secret").write_text("whsec_" + "A" * 44)
    variables = {"CGB_API_URL": provider.url, "CGB_API_KEY": provider.key}
    for name, content in (("GATEWAY_CALLERS_FILE", callers), ("CALLBACKS_FILE", callbacks)):
        if content is not None:
            (tmp_path / name).write_text(content)
            variables[name] = str(tmp_path / name)
    done = await cli("doctor", "--json", **variables)
    found = {
        each["message"]: each["ok"]
        for each in done.json["checks"]
        if each["check"] == "callbacks" or "_FILE" in each["message"]
    }
    assert len(found) == len(findings), found
    for part, ok in findings.items():
        assert [seen for message, seen in found.items() if part in message] == [ok], found
    assert done.code == (0 if all(findings.values()) else 4)


@pytest.mark.parametrize("seconds", [-5, 60])
async def test_the_doctor_says_that_the_clock_is_wrong(
    cli: Cli, provider: Simulator, seconds: int
) -> None:
    done = await cli(
        "doctor", CGB_API_URL=provider.url, CGB_API_KEY=provider.key, **wrong_clock(seconds)
    )
    assert done.code == 4
    side = "ahead of" if seconds > 0 else "behind"
    line = f" s {side} Temporal's clock"
    assert any(found.startswith("FAILED") and line in found for found in done.out.splitlines())


CATALOGUES = [
    ("visa_approved: {flow: 1752250957765, variables: [name]}", "visa_approved", True),
    ("visa_approved: {variables: [name, reference]}", "visa_approved", True),
    ("closed: {flow: 17}", "the account has no flow 17", False),
    ("welcome: {}", "several flows match", False),
    ("nothing: {variables: []}", "no flow matches the template", False),
    ("visa_approved: {variables: [nmae]}", "no custom field nmae; create it", False),
    ("visa_approved: {variables: [Name]}", "no custom field Name; did you mean name?", False),
    ("visa_approved: {variables: [amount]}", "the custom field amount has the type number", False),
    ("x: {flow: 17}", "its flow and its variables exist", True),
    ("visa_approved: {variable: []}", "TEMPLATES_FILE", False),
]


@pytest.mark.parametrize(("entry", "line", "ok"), CATALOGUES)
async def test_the_doctor_compares_the_catalogue_with_the_account(
    cli: Cli, provider: Simulator, tmp_path: Path, entry: str, line: str, ok: bool
) -> None:
    file = tmp_path / "templates.yaml"
    file.write_text(f"templates: {{{entry}}}")
    done = await cli(
        "doctor",
        CGB_API_URL=provider.url,
        CGB_API_KEY=provider.key,
        CGB_TEMPLATE_X="1752250957765",
        TEMPLATES_FILE=str(file),
    )
    assert done.code == (0 if ok else 4), done.out
    found = [one for one in done.out.splitlines() if line in one]
    assert found
    assert all(one.startswith("ok" if ok else "FAILED") for one in found)


async def test_the_doctor_reports_custom_fields_that_cannot_be_listed(
    cli: Cli, provider: Simulator
) -> None:
    await provider.faults(Fault(route="list_custom_fields", status=503))
    done = await cli(
        "doctor",
        CGB_API_URL=provider.url,
        CGB_API_KEY=provider.key,
        TEMPLATES_FILE=str(ROOT / "examples" / "templates.yaml"),
    )
    assert done.code == 4
    assert "list the custom fields: HTTP 503" in done.out
