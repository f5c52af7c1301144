"""Who runs a command, and the reason that they give for it."""

import getpass
import os
import socket
from typing import Annotated

import typer

from send_whatsapp.cli.errors import UsageError
from send_whatsapp.client.origin import Origin

MAX_REASON_LENGTH = 500

Reason = Annotated[
    str | None,
    typer.Option(
        help="Why it is sent again; `status` shows it. Do not write numbers or texts of people."
    ),
]


def operator_origin(reason: str | None) -> Origin:
    """Return the origin of what this person starts. Raises UsageError for a wrong reason."""
    if reason is not None and not 1 <= len(reason.strip()) <= MAX_REASON_LENGTH:
        raise UsageError(
            f"--reason must have 1 to {MAX_REASON_LENGTH} characters, for example"
            ' --reason "the inbox of the provider does not have it"'
        )
    if reason is not None and not reason.isprintable():
        raise UsageError("--reason must be one line of printable characters")
    return Origin(started_by=f"{_user()}@{socket.gethostname()}", reason=reason)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may run as a user id that has no name.
        return str(os.getuid())
