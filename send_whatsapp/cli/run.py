"""Runs a command with a connected client, and turns every error into a sentence and a code."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from temporalio.client import Client

from send_whatsapp.cli.errors import UsageError
from send_whatsapp.cli.output import Exit, Output
from send_whatsapp.client.errors import KeyConflict, NotFound, OutcomeUnknown
from send_whatsapp.client.links import ui_link
from send_whatsapp.client.listing import FilterNotPossible
from send_whatsapp.client.state import State
from send_whatsapp.contract.names import InvalidKey
from send_whatsapp.settings import SettingsError, StarterSettings
from send_whatsapp.telemetry import logs, tracing
from send_whatsapp.temporal.connection import TemporalUnavailable, connect
from send_whatsapp.temporal.process import exit_now


@dataclass(frozen=True)
class Session:
    """What a command works with: a connected client, the settings and its output."""

    client: Client
    settings: StarterSettings
    output: Output

    def link(self, workflow_id: str, run_id: str | None = None) -> str | None:
        """Return the address of a run's page in the Web UI; None if there is no Web UI."""
        return ui_link(self.settings.ui_url, self.client.namespace, workflow_id, run_id)

    def show(
        self, state: State, *, link: bool = True, details: bool = True, cancelling: bool = False
    ) -> None:
        """Print the state of a send; the options are those of `Output.state`."""
        address = self.link(state.id, state.run_id) if link else None
        self.output.state(state, address, details=details, cancelling=cancelling)


_WRONG_INPUT = (KeyConflict, NotFound, InvalidKey, FilterNotPossible, SettingsError, UsageError)

Command = Callable[[Session], Awaitable[Exit]]


def load_settings(output: Output) -> StarterSettings:
    """Return the settings; end the process if one is wrong."""
    try:
        return StarterSettings.load()
    except SettingsError as error:
        output.fail(Exit.INVALID, str(error))


def run(
    command: Command,
    output: Output,
    *,
    interrupted: str | Callable[[], str] = "Interrupted; anything that was started keeps running.",
) -> None:
    """Run a command and end the process with its exit code, or with an error in one sentence.

    `interrupted` is the sentence for Ctrl-C, or returns it.
    """
    settings = load_settings(output)
    logs.set_up("ERROR", "text")
    tracing.set_up(settings.otlp_endpoint, "send-whatsapp-cli")

    async def connected() -> Exit:
        return await command(Session(await connect(), settings, output))

    try:
        code = asyncio.run(connected())
    except TemporalUnavailable as error:
        output.fail(Exit.NO_TEMPORAL, str(error))
    except OutcomeUnknown as error:
        output.fail(Exit.UNKNOWN, f"{error} (option --force of `send`)")
    except _WRONG_INPUT as error:
        output.fail(Exit.INVALID, str(error))
    except UnicodeError:
        output.fail(Exit.INVALID, "An argument is not valid UTF-8 text")
    except KeyboardInterrupt:
        text = interrupted if isinstance(interrupted, str) else interrupted()
        output.fail(Exit.INTERRUPTED, text)
    exit_now(code)
