"""What a command prints, as JSON or as readable lines, and the exit code that it ends with."""

import json
import sys
from enum import IntEnum
from typing import Any, Final, NoReturn

from rich.console import Console
from rich.table import Table

from send_whatsapp.client.state import State, is_invalid
from send_whatsapp.client.times import with_local_times
from send_whatsapp.contract.errors import ErrorType
from send_whatsapp.temporal.process import exit_now


class Exit(IntEnum):
    """Exit codes of all commands."""

    ACCEPTED = 0
    FAILED = 1
    INVALID = 2
    UNKNOWN = 3
    NO_TEMPORAL = 4
    CHECK_FAILED = 4  # of `doctor`
    STILL_RUNNING = 5
    INTERRUPTED = 130


PIPE_WIDTH: Final = 1000
"""Columns of a table that is not printed on a terminal."""

_ERROR_TYPES: Final = {
    Exit.INVALID: str(ErrorType.INVALID_REQUEST),
    Exit.UNKNOWN: str(ErrorType.DELIVERY_UNKNOWN),
    Exit.NO_TEMPORAL: "TemporalUnavailable",
}

_STYLES: Final = {"accepted": "green", "running": "yellow", "unknown": "magenta"}


def exit_code(state: State) -> Exit:
    """Return the exit code that reports the state of a send."""
    if state.outcome == "running":
        return Exit.STILL_RUNNING
    if state.outcome == "accepted":
        return Exit.ACCEPTED
    if state.outcome == "unknown":
        return Exit.UNKNOWN
    return Exit.INVALID if state.result and is_invalid(state.result) else Exit.FAILED


class Output:
    """The output of one command: results on standard output, everything else on standard error.

    With `as_json` standard output holds JSON alone.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.stdout = Console(soft_wrap=True, highlight=False, emoji=False)
        self.stderr = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)

    def json(self, value: Any) -> None:
        """Print a result as JSON."""
        sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")

    def result(self, value: Any, text: str) -> None:
        """Print a result: `value` as JSON, or `text` for people."""
        if self.as_json:
            self.json(value)
        else:
            self.stdout.print(text, markup=False)

    def table(self, table: Table) -> None:
        """Print a table; without a terminal it is so wide that no line is folded."""
        if not self.stdout.is_terminal:
            self.stdout.width = PIPE_WIDTH
        self.stdout.print(table)

    def note(self, text: str, *, style: str | None = None) -> None:
        """Print a line that is not part of the result."""
        self.stderr.print(text, markup=False, style=style)

    def state(
        self, state: State, link: str | None, *, details: bool = True, cancelling: bool = False
    ) -> None:
        """Print the state of a send; `link` leads to its page in the Web UI.

        Without `details` the text is only id and outcome. With `cancelling` the JSON is that of
        `cancel`: `success` says whether the send was cancelled.
        """
        if self.as_json:
            shown = _state_object(state, link)
            self.json(_cancel_object(state, shown) if cancelling else shown)
            return
        style = _STYLES.get(state.outcome, "red")
        self.stdout.print(f"[bold {style}]{state.outcome}[/]  ", end="")
        self.stdout.print(state.id, markup=False)
        for line in _state_lines(state) if details else ():
            self.stdout.print(f"  {with_local_times(line)}", markup=False)
        if state.outcome == "accepted":
            self.stdout.print(
                "  accepted by the provider, which does not confirm delivery", style="dim"
            )
        if link:
            self.stdout.print(f"  {link}", markup=False, style="dim")

    def fail(self, code: Exit, message: str, *, error_type: str | None = None) -> NoReturn:
        """Print what is wrong and end the process; `error_type` is the type in JSON."""
        if self.as_json:
            type_ = error_type or _ERROR_TYPES.get(code, code.name.title())
            error = {"type": type_, "message": message, "retryable": code == Exit.NO_TEMPORAL}
            self.json({"success": False, "error": error})
        self.note(with_local_times(message))
        exit_now(code)


def _state_object(state: State, link: str | None) -> dict[str, Any]:
    """Return the state as one JSON object; it has the fields of the result at its top level too."""
    result = state.result.model_dump(mode="json", by_alias=True) if state.result else None
    progress = state.progress.model_dump(mode="json", by_alias=True) if state.progress else None
    return {
        **(result or {}),
        "id": state.id,
        "runId": state.run_id,
        "status": state.status,
        "outcome": state.outcome,
        "startedAt": state.started_at.isoformat(),
        "closedAt": state.closed_at.isoformat() if state.closed_at else None,
        "uiUrl": link,
        "progress": progress,
        "result": result,
    }


def _cancel_object(state: State, shown: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON of `cancel`, which succeeds if the send is cancelled."""
    if state.outcome == "cancelled":
        return {**shown, "success": True, "error": None}
    if state.outcome == "accepted":
        error = {"type": "TooLate", "message": too_late(state, utc=True), "retryable": False}
        return {**shown, "success": False, "error": error}
    return {"success": False, **shown}


def too_late(state: State, *, utc: bool = False) -> str:
    """Return the sentence for a cancellation that finds the message sent."""
    at = state.result.timestamp if state.result else None
    sentence = f"Too late, it was sent at {at}." if at else "Too late, it was sent before."
    return sentence if utc else with_local_times(sentence)


def _state_lines(state: State) -> list[str]:
    """Return what the state says beside id and outcome."""
    if state.progress:
        return [state.progress.summary]
    result = state.result
    if result and result.error:
        return [f"{result.error.type}: {result.error.message}"]
    if result is None:
        return []
    fields = {
        "sent as": result.sent_as,
        "to": result.to,
        "contact": result.contact_id,
        "message id": result.message_id,
        "flow": result.flow_id,
        "fallback": result.fallback_reason,
        "at": result.timestamp,
    }
    return [f"{name:<11} {value}" for name, value in fields.items() if value is not None]
