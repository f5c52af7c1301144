"""The command line `send-whatsapp`: its commands, and how the process ends."""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from send_whatsapp.cli import (
    batch,
    callback,
    doctor,
    gateway,
    opt_out,
    resend,
    send,
    templates,
    token,
)
from send_whatsapp.cli import list as list_command
from send_whatsapp.cli.errors import UsageError
from send_whatsapp.cli.output import Exit, Output
from send_whatsapp.temporal.process import exit_now

app = typer.Typer(
    help="Send WhatsApp messages through Temporal, and see their outcomes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"send-whatsapp {version('send-whatsapp')}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    """Hold the options of the command line itself."""


app.add_typer(send.app)
app.add_typer(resend.app)
app.add_typer(list_command.app)
app.add_typer(batch.app, name="batch")
app.add_typer(callback.app, name="callback")
app.add_typer(opt_out.app)
app.add_typer(templates.app)
app.add_typer(doctor.app)
app.add_typer(gateway.app)
app.add_typer(token.app)


def main() -> None:
    """Run the command line; however it ends, no traceback is shown."""
    # Usage errors occur before a command creates its Output.
    output = Output(as_json="--json" in sys.argv)
    try:
        app()
    except UsageError as error:
        output.fail(Exit.INVALID, str(error))
    except SystemExit as error:
        if isinstance(error.code, str):
            output.note(error.code)
            exit_now(Exit.FAILED)
        if error.code == Exit.INVALID and output.as_json:
            # Typer has printed the reason on standard error.
            output.fail(Exit.INVALID, "The command line is wrong: see --help")
        exit_now(error.code or Exit.ACCEPTED)
    except KeyboardInterrupt:
        exit_now(Exit.INTERRUPTED)
    except Exception as error:
        output.note(f"Unexpected {type(error).__name__}: this is a defect, please report it.")
        exit_now(Exit.FAILED)
