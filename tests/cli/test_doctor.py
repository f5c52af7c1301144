"""The command `doctor`: it names what is wrong, and nothing else."""

import pytest

from simulator.process import Simulator
from tests.cli.conftest import Cli
from tests.conftest import wrong_clock


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
