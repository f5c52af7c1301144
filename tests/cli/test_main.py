"""The command line as a whole: help, completion, wrong settings, and JSON for every error."""

import asyncio
import os
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.conftest import run_command
from tools.dev_server import free_port


@pytest.mark.parametrize(
    "command",
    [
        *((), ("send",), ("status",), ("list",), ("cancel",), ("resend",)),
        *(("batch", "send"), ("batch", "status"), ("batch", "list"), ("templates",), ("doctor",)),
        *(("gateway",), ("webhook",)),
    ],
)
async def test_the_help_of_a_command_has_an_example(command: tuple[str, ...]) -> None:
    done = await run_command(*command, "--help", address="unused")
    assert done.code == 0
    assert "Usage: send-whatsapp" in done.out
    if command:
        assert "Example: " in done.out
        assert f"send-whatsapp {' '.join(command)}" in done.out.split("Example: ")[1]


async def test_the_shell_completes_commands_and_outcomes() -> None:
    typed = {"COMP_WORDS": "send-whatsapp list --outcome un", "COMP_CWORD": "3"}
    done = await run_command(address="unused", _SEND_WHATSAPP_COMPLETE="complete_bash", **typed)
    assert done.out.split() == ["unknown"]


async def test_without_temporal_a_command_ends_with_4() -> None:
    address = f"127.0.0.1:{free_port()}"
    done = await run_command("status", "x", "--json", address=address)
    assert done.code == 4
    assert done.json["error"]["type"] == "TemporalUnavailable"
    assert address in done.err


@pytest.mark.parametrize(
    ("variable", "value", "code"),
    [
        ("LOG_LEVEL", "loud", 2),
        ("CGB_DEFAULT_REGION", "Mars", 2),
        ("TEMPORAL_ADDRESS", "127.0.0.1:99999", 2),
        ("TEMPORAL_PROFILE", "nope", 2),
        ("TEMPORAL_TLS_CLIENT_CERT_PATH", "nope.pem", 2),
        ("TEMPORAL_NAMESPACE", "nope", 4),
    ],
)
@pytest.mark.parametrize(
    "command", [("status", "x"), ("list",), ("send", "--message", "x", "--to", "+1234567890")]
)
async def test_a_wrong_setting_is_named(
    cli: Cli, command: tuple[str, ...], variable: str, value: str, code: int
) -> None:
    done = await cli(*command, "--json", **{variable: value})
    assert done.code == code
    assert variable in done.json["error"]["message"]


async def test_with_json_a_wrong_command_line_is_a_json_error(cli: Cli) -> None:
    done = await cli("send", "--message", "x", "--json")
    assert done.code == 2
    assert done.json["error"]["type"] == "InvalidRequest"
    assert "--to" in done.err


async def test_an_argument_that_is_not_text_ends_with_2(cli: Cli) -> None:
    done = await cli("status", os.fsdecode(b"a\xff"))
    assert done.code == 2
    assert "UTF-8" in done.err


async def test_the_version_is_printed() -> None:
    done = await run_command("--version", address="unused")
    assert (done.code, done.out) == (0, f"send-whatsapp {version('send-whatsapp')}\n")


async def test_a_reader_that_has_enough_ends_the_command_quietly() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("send-whatsapp")),
        "--version",
        stdout=writing,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(writing)
    _, err = await process.communicate()
    assert (process.returncode, err) == (1, b"")
