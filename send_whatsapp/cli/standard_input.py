"""Texts from standard input, for options with the value `-`: arguments are visible in `ps`."""

import sys

import typer

from send_whatsapp.cli.errors import UsageError
from send_whatsapp.cli.output import Exit
from send_whatsapp.contract.fields import MAX_TEXT

DASH = "-"

_MAX_BYTES = 1_000_000


def text(context: typer.Context, option: typer.CallbackParam, value: str | None) -> str | None:
    """Return the value of an option; instead of `-`, the text on standard input.

    Standard input must be UTF-8. One line break at its end is removed. Raises UsageError.
    """
    return _read(context, option) if value == DASH else value


def lines(
    context: typer.Context, option: typer.CallbackParam, values: list[str] | None
) -> list[str] | None:
    """Return the values of an option; instead of `-`, the lines on standard input.

    Raises UsageError.
    """
    if not values or DASH not in values:
        return values
    found = [line for line in _read(context, option).splitlines() if line.strip()]
    return [value for value in values if value != DASH] + found


def _read(context: typer.Context, option: typer.CallbackParam) -> str:
    name = option.opts[0]
    other = context.meta.setdefault(__name__, name)
    if other != name:
        raise UsageError(f"{other} and {name} cannot both read standard input: give one of them")
    if sys.stdin is None or sys.stdin.closed:
        raise UsageError(f"{name} - reads standard input, which is closed: {_example(name)}")
    if sys.stdin.isatty():
        print(f"Type the text of {name}, then press Ctrl-D on a new line.", file=sys.stderr)
    try:
        data = sys.stdin.buffer.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"{name} - cannot read standard input ({error.strerror}): {_example(name)}"
        ) from None
    except KeyboardInterrupt:
        raise SystemExit(Exit.INTERRUPTED) from None
    if len(data) > _MAX_BYTES:
        raise UsageError(
            f"Standard input has more than {_MAX_BYTES:,} bytes: a text has at most"
            f" {MAX_TEXT:,} characters"
        )
    try:
        read = data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"Standard input is not UTF-8 text (byte {error.start + 1} is wrong): convert it to"
            " UTF-8, for example with iconv"
        ) from None
    read = read.removesuffix("\n").removesuffix("\r") if read.endswith("\n") else read
    if not read:
        raise UsageError(f"{name} - found no text on standard input: {_example(name)}")
    return read


def _example(name: str) -> str:
    return f"pipe it in, for example: send-whatsapp send ... {name} - < text.txt"
