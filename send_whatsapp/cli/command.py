"""What every command shares: running with a client, options, and ends in one sentence."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer
from temporalio.client import Client

from send_whatsapp.cli.output import Exit, fail
from send_whatsapp.client.errors import KeyConflict, NotFound, OutcomeUnknown
from send_whatsapp.client.listing import FilterNotPossible
from send_whatsapp.contract.names import InvalidKey
from send_whatsapp.settings import SettingsError, StarterSettings
from send_whatsapp.telemetry import logs, tracing
from send_whatsapp.temporal.connection import TemporalUnavailable, connect
from send_whatsapp.temporal.process import exit_now

Json = Annotated[bool, typer.Option("--json", help="Print JSON alone on standard output.")]


class FileTypes(StrEnum):
    """Kinds of file, as the contract names them."""

    IMAGE = "image"
    DOCUMENT = "document"
    VIDEO = "video"
    AUDIO = "audio"


def run(
    command: Callable[[Client, StarterSettings], Coroutine[Any, Any, Exit]],
    *,
    as_json: bool,
    interrupted: str = "Interrupted; what was started goes on.",
) -> None:
    """Run one command with a client, turn what goes wrong into a sentence, and leave."""
    try:
        settings = StarterSettings.load()
    except SettingsError as error:
        fail(Exit.INVALID, str(error), as_json=as_json)
    logs.set_up("ERROR", "text")
    tracing.set_up(settings.otlp_endpoint, "send-whatsapp-cli")

    async def connected() -> Exit:
        return await command(await connect(), settings)

    try:
        code = asyncio.run(connected())
    except TemporalUnavailable as error:
        fail(Exit.NO_TEMPORAL, str(error), as_json=as_json, type_="TemporalUnavailable")
    except OutcomeUnknown as error:
        fail(Exit.UNKNOWN, str(error), as_json=as_json, type_="DeliveryUnknown")
    except (
        KeyConflict,
        NotFound,
        InvalidKey,
        FilterNotPossible,
        SettingsError,
    ) as error:
        fail(Exit.INVALID, str(error), as_json=as_json)
    except UnicodeError:
        fail(Exit.INVALID, "An argument is no UTF-8 text", as_json=as_json)
    except KeyboardInterrupt:
        fail(Exit.INTERRUPTED, interrupted, as_json=as_json)
    exit_now(code)


def variables(pairs: list[str], *, as_json: bool) -> dict[str, str]:
    """Return name=value pairs by name; end the command where one is none."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            fail(
                Exit.INVALID,
                "--var is written name=value, for example --var name=John",
                as_json=as_json,
            )
        if name in found:
            fail(Exit.INVALID, "--var gives one name twice", as_json=as_json)
        found[name] = value
    return found


_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(option: str, text: str | None, *, as_json: bool) -> timedelta:
    """Return a time such as 90s, 10m, 2h or 1d; end the command where it is none."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)([smhd]?)", (text or "").strip(), re.ASCII)
    if not found:
        fail(Exit.INVALID, f"{option} is a time such as 90s, 10m, 2h or 1d", as_json=as_json)
    seconds = float(found[1]) * _UNITS[found[2]]
    if seconds > 366 * 86400:
        fail(Exit.INVALID, f"{option} is longer than a year", as_json=as_json)
    return timedelta(seconds=seconds)
