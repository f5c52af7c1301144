"""Options that several commands share, and how their values are read."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer
from pydantic import ValidationError

from send_whatsapp.cli import standard_input
from send_whatsapp.cli.errors import UsageError
from send_whatsapp.contract.fields import FileType
from send_whatsapp.contract.names import CALLER_NAME_PATTERN
from send_whatsapp.contract.send_window import SendWindow
from send_whatsapp.contract.validation import problems

Template = Annotated[str | None, typer.Option("--template", help="Name of the template.")]
Variables = Annotated[
    list[str] | None,
    typer.Option(
        "--var",
        help="Template variable as NAME=VALUE; repeat it for each variable. - reads such lines from"
        " standard input.",
        callback=standard_input.lines,
    ),
]
Message = Annotated[
    str | None,
    typer.Option(
        "--message",
        help="Free text, 1 to 4,096 characters; - reads it from standard input.",
        callback=standard_input.text,
    ),
]
Fallback = Annotated[
    str | None,
    typer.Option(
        "--fallback",
        help="Text to send if the account has no flow for the template; - reads it from standard"
        " input.",
        callback=standard_input.text,
    ),
]
FileUrl = Annotated[str | None, typer.Option("--file", help="http(s) URL of a file to send.")]
KindOfFile = Annotated[FileType | None, typer.Option("--file-type", help="Kind of file.")]
AtMostOnce = Annotated[
    bool,
    typer.Option(
        "--at-most-once",
        help="Never send the message twice: if it is unclear whether it was sent, end as"
        " `unknown` instead of sending it again.",
    ),
]


def _callback_name(name: str | None) -> str | None:
    if name is not None and not re.fullmatch(CALLER_NAME_PATTERN, name):
        raise UsageError(
            "--callback must be the name of a callback in the worker's CALLBACKS_FILE: 1 to 60"
            " letters, digits, dots, hyphens and underscores, for example shop"
        )
    return name


Callback = Annotated[
    str | None,
    typer.Option(
        "--callback",
        help="Name of the callback that hears how it ended, from the worker's CALLBACKS_FILE.",
        callback=_callback_name,
    ),
]
IgnoreOptOut = Annotated[
    bool,
    typer.Option(
        "--ignore-opt-out",
        help="Send even if the person has opted out, for example a legal notice.",
    ),
]
InOrder = Annotated[
    bool,
    typer.Option(
        "--in-order",
        help="Send only after the earlier messages to the same person have ended. Templates with"
        " variables always wait for that.",
    ),
]
Window = Annotated[
    str | None,
    typer.Option(
        "--window",
        help="Send only between these times of a day, for example 09:00-20:00; otherwise wait.",
    ),
]
Zone = Annotated[
    str | None,
    typer.Option(
        "--zone",
        help="Time zone of --window: recipient (the default, by the phone number), or a name such"
        " as Asia/Jerusalem.",
    ),
]
ExpiresIn = Annotated[
    str | None,
    typer.Option(
        "--expires-in", help="Do not send the message after this time, for example 90s, 10m or 2h."
    ),
]
At = Annotated[
    str | None, typer.Option("--at", help="Send at this time, for example 2027-01-31T09:00:00Z.")
]
In = Annotated[str | None, typer.Option("--in", help="Send after this time, for example 10m.")]
NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Return once it is started, without waiting for the end.")
]
Timeout = Annotated[
    float, typer.Option("--timeout", help="How long to wait for the end, in seconds.", min=0)
]
BatchTimeout = Annotated[
    float | None,
    typer.Option(
        "--timeout", help="How long to wait for the end, in seconds; default: no limit.", min=0
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print only JSON on standard output.")]

DEFAULT_TIMEOUT_S: Final = 120.0

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST: Final = timedelta(days=366)


def name_values(option: str, pairs: list[str] | None) -> dict[str, str]:
    """Return the values of a NAME=VALUE option by name. Raises UsageError."""
    values: dict[str, str] = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(
                f"{option} must have the form name=value, for example {option} name=John"
            )
        if name in values:
            raise UsageError(f"{option} sets the same name twice: give each name once")
        values[name] = value
    return values


def duration(option: str, text: str) -> timedelta:
    """Return a duration such as 90s, 10m, 2h or 1d. Raises UsageError."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)([smhd])", text.strip(), re.ASCII)
    if not found:
        raise UsageError(f"{option} must be a duration with its unit, such as 90s, 10m, 2h or 1d")
    length = timedelta(seconds=float(found[1]) * _UNITS[found[2]])
    if length > _LONGEST:
        raise UsageError(f"{option} must not be longer than a year")
    return length


def send_window(window: str | None, zone: str | None) -> SendWindow | None:
    """Return the send window of --window and --zone. Raises UsageError."""
    if window is None:
        if zone is not None:
            raise UsageError("--zone needs --window, for example --window 09:00-20:00")
        return None
    from_, dash, to = window.partition("-")
    if not dash:
        raise UsageError("--window must be two times of a day, for example 09:00-20:00")
    fields = {"from": from_.strip(), "to": to.strip(), "zone": zone}
    try:
        return SendWindow.model_validate(fields)
    except ValidationError as error:
        problem = problems(error)[0]
        option = "--zone" if problem.field == "zone" else "--window"
        raise UsageError(
            f"{option} is wrong: {problem}; for example --window 09:00-20:00 --zone Asia/Jerusalem"
        ) from None


def time_to_send(at: str | None, in_: str | None) -> str | datetime | None:
    """Return the time of --at as it is written, or that of --in. Raises UsageError."""
    if at is not None and in_ is not None:
        raise UsageError("--at and --in both set the time to send: give only one of them")
    return from_now("--in", in_) if at is None else at


def from_now(option: str, text: str | None) -> datetime | None:
    """Return the time that a duration from now ends; None without one. Raises UsageError."""
    return None if text is None else datetime.now(UTC) + duration(option, text)
