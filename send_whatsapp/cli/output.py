"""What the command line shows: exit codes, links, JSON and readable lines."""

import json
import sys
from enum import IntEnum
from typing import Any, NoReturn

from rich.console import Console

from send_whatsapp.client.state import State, is_invalid
from send_whatsapp.contract.errors import ErrorType
from send_whatsapp.temporal.process import exit_now

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)


class Exit(IntEnum):
    """Exit codes of every command (surfaces: "CLI")."""

    ACCEPTED = 0
    FAILED = 1
    INVALID = 2
    UNKNOWN = 3
    NO_TEMPORAL = 4
    STILL_RUNNING = 5
    INTERRUPTED = 130


def exit_code(state: State) -> Exit:
    """Return the exit code for how a run stands."""
    if state.outcome == "running":
        return Exit.STILL_RUNNING
    if state.outcome == "accepted":
        return Exit.ACCEPTED
    if state.outcome == "unknown":
        return Exit.UNKNOWN
    return Exit.INVALID if state.result and is_invalid(state.result) else Exit.FAILED


def state_object(state: State, link: str | None) -> dict[str, Any]:
    """Return a run as one JSON object; the result's fields stand at its top level as well."""
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


def show_state(state: State, link: str | None, *, as_json: bool) -> None:
    """Print how a run stands."""
    if as_json:
        print_json(state_object(state, link))
        return
    style = {"accepted": "green", "running": "yellow", "unknown": "magenta"}.get(
        state.outcome, "red"
    )
    out.print(f"[bold {style}]{state.outcome}[/]  ", end="")
    out.print(state.id, markup=False)
    if state.progress:
        out.print(f"  waits {state.progress.said}", markup=False)
    result = state.result
    if result and result.success:
        fields = {
            "sent as": result.sent_as,
            "to": result.to,
            "contact": result.contact_id,
            "message id": result.message_id,
            "flow": result.flow_id,
            "fallback": result.fallback_reason,
            "at": result.timestamp,
        }
        for name, value in fields.items():
            if value is not None:
                out.print(f"  {name:<11} {value}", markup=False)
        out.print("  accepted by the provider, which is not yet delivered", style="dim")
    elif result and result.error:
        out.print(f"  {result.error.type}: {result.error.message}", markup=False)
    if link:
        out.print(f"  {link}", markup=False, style="dim")


def print_json(value: Any) -> None:
    """Print JSON alone on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def fail(code: Exit, message: str, *, as_json: bool = False, type_: str | None = None) -> NoReturn:
    """Say what is wrong and end the command."""
    if as_json:
        kind = type_ or {Exit.INVALID: ErrorType.INVALID_REQUEST}.get(code, code.name.title())
        error = {"type": kind, "message": message, "retryable": code == Exit.NO_TEMPORAL}
        print_json({"success": False, "error": error})
    err.print(message, markup=False)
    exit_now(code)
