"""The commands for one message: send, status and cancel."""

from shlex import quote
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from send_whatsapp.cli.dry_run import show_send
from send_whatsapp.cli.errors import UsageError
from send_whatsapp.cli.operator import Reason, operator_origin
from send_whatsapp.cli.options import (
    DEFAULT_TIMEOUT_S,
    At,
    AtMostOnce,
    Callback,
    ExpiresIn,
    Fallback,
    FileUrl,
    IgnoreOptOut,
    In,
    InOrder,
    Json,
    KindOfFile,
    Message,
    NoWait,
    Template,
    Timeout,
    Variables,
    Window,
    Zone,
    from_now,
    name_values,
    send_window,
    time_to_send,
)
from send_whatsapp.cli.output import Exit, Output, exit_code, too_late
from send_whatsapp.cli.row_status import show_row_or_batch
from send_whatsapp.cli.run import Session, load_settings, run
from send_whatsapp.cli.waiting import wait_for_end
from send_whatsapp.client import sends
from send_whatsapp.client.errors import NotFound
from send_whatsapp.client.state import Started, get_state
from send_whatsapp.contract import names
from send_whatsapp.contract.errors import ErrorType
from send_whatsapp.contract.fields import FALLBACK_VARIABLE
from send_whatsapp.contract.names import InvalidKey
from send_whatsapp.contract.phone import InvalidPhoneNumber
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.contract.validation import problems

app = typer.Typer()

WorkflowId = Annotated[
    str, typer.Argument(help="Workflow id of the send; for a send with --key it is the key.")
]


@app.command(
    epilog="Example: send-whatsapp send --to +1234567890 --template visa_approved"
    ' --var name="John Doe" --fallback "Your visa has been approved!"'
)
def send(
    to: Annotated[str, typer.Option(help="Phone number in any usual notation.")],
    message: Message = None,
    template: Template = None,
    variables: Variables = None,
    fallback: Fallback = None,
    file_url: FileUrl = None,
    file_type: KindOfFile = None,
    at_most_once: AtMostOnce = False,
    ignore_opt_out: IgnoreOptOut = False,
    in_order: InOrder = False,
    key: Annotated[
        str | None,
        typer.Option(help="Idempotency key, which becomes the workflow id: one key, one send."),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Send again under --key even if its earlier outcome is unknown."
        ),
    ] = False,
    reason: Reason = None,
    callback: Callback = None,
    expires_in: ExpiresIn = None,
    at: At = None,
    in_: In = None,
    window: Window = None,
    zone: Zone = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show what would be sent, without starting anything."),
    ] = False,
    no_wait: NoWait = False,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    as_json: Json = False,
) -> None:
    """Send one message and wait until the provider has accepted or refused it.

    Exit codes: 0 accepted, 1 failed, 2 invalid request, 3 unknown, 4 no Temporal, 5 still running.
    """
    output = Output(as_json=as_json)
    if force and key is None:
        raise UsageError("--force needs --key: it sends again under a key that was used before")
    if reason is not None and not force:
        raise UsageError("--reason needs --force: it says why a message is sent again")
    origin = operator_origin(reason) if force else None
    fields: dict[str, Any] = {
        "to": to,
        "message": message,
        "template": template,
        "variables": _with_fallback(name_values("--var", variables), fallback, template) or None,
        "fileUrl": file_url,
        "fileType": file_type,
        "delivery": "at_most_once" if at_most_once else "at_least_once",
        "inOrder": in_order,
        "sendAt": time_to_send(at, in_),
        "expiresAt": from_now("--expires-in", expires_in),
        "ignoreOptOut": ignore_opt_out,
        "sendWindow": send_window(window, zone),
    }
    try:
        # The worker's region may differ, so the number is handed over in E.164.
        region = load_settings(output).default_region
        request = SendWhatsAppRequest.model_validate(fields).in_e164(region)
        workflow_id = names.new_workflow_id() if key is None else names.workflow_id(key)
    except InvalidKey as error:
        output.fail(Exit.INVALID, f"Correct --key: {error}")
    except ValidationError as error:
        listed = "; ".join(str(problem) for problem in problems(error))
        output.fail(Exit.INVALID, f"The request is invalid: {listed}")
    except InvalidPhoneNumber as error:
        message = f"Correct the phone number in --to: {error}"
        output.fail(Exit.INVALID, message, error_type=ErrorType.INVALID_PHONE_NUMBER)
    if dry_run:
        show_send(output, request, key)
        return

    interrupted = (
        f"Interrupted. Check whether the send started with: {_status_command(workflow_id)}"
    )

    async def command(session: Session) -> Exit:
        nonlocal interrupted
        started = await sends.start_send(
            session.client,
            request,
            workflow_id=workflow_id,
            force=force,
            task_queue=session.settings.task_queue,
            region=session.settings.default_region,
            callback=callback,
            origin=origin,
        )
        interrupted = still_running(workflow_id)
        return await follow(session, started, no_wait, timeout)

    run(command, output, interrupted=lambda: interrupted)


def still_running(workflow_id: str) -> str:
    """Return the sentence for Ctrl-C while a send is running."""
    return f"The send continues. Check it with: {_status_command(workflow_id)}"


def _status_command(workflow_id: str) -> str:
    return f"send-whatsapp status {quote(workflow_id)}"


def _with_fallback(
    variables: dict[str, str], fallback: str | None, template: str | None
) -> dict[str, str]:
    if fallback is None:
        return variables
    if template is None:
        raise UsageError("--fallback needs --template: without one, use --message")
    if FALLBACK_VARIABLE in variables:
        raise UsageError(
            f"--fallback and --var {FALLBACK_VARIABLE}=... both set the fallback text: give only"
            " one of them"
        )
    return variables | {FALLBACK_VARIABLE: fallback}


@app.command(epilog="Example: send-whatsapp status order-4711 --json")
def status(id: WorkflowId, as_json: Json = False) -> None:
    """Show the state of a send, or of a row of a batch, whose id is the row's key.

    Exit codes: same as `send`.
    """

    async def command(session: Session) -> Exit:
        try:
            state = await get_state(session.client, id)
        except NotFound as error:
            return await show_row_or_batch(session, id, error)
        session.show(state)
        return exit_code(state)

    run(command, Output(as_json=as_json))


@app.command(epilog="Example: send-whatsapp cancel order-4711")
def cancel(id: WorkflowId, timeout: Timeout = DEFAULT_TIMEOUT_S, as_json: Json = False) -> None:
    """Cancel a send, and report whether the message was sent before that.

    With --json, `success` says whether the send was cancelled.

    Exit codes: 0 cancelled and nothing was sent, 1 too late; otherwise those of `status`.
    """

    async def command(session: Session) -> Exit:
        before = await get_state(session.client, id)
        if before.outcome == "running":
            await sends.request_cancel(session.client, before)
        state = await wait_for_end(session, before, timeout)
        # The note below says why nothing was sent.
        session.show(state, details=state.outcome != "cancelled", cancelling=True)
        if state.outcome == "cancelled":
            session.output.note("Cancelled, nothing was sent.")
            return Exit.ACCEPTED
        if state.outcome == "accepted":
            session.output.note(too_late(state))
            return Exit.FAILED
        if state.outcome == "running":
            session.output.note(
                "The cancellation was requested, but the send has not ended yet. Check it with:"
                f" {_status_command(id)}"
            )
        return exit_code(state)

    run(command, Output(as_json=as_json), interrupted=_check_cancellation(id))


def _check_cancellation(workflow_id: str) -> str:
    return f"Interrupted. Check whether the send was cancelled with: {_status_command(workflow_id)}"


async def follow(session: Session, started: Started, no_wait: bool, timeout_s: float) -> Exit:
    """Show a send that was started, by default once it is closed."""
    state = await get_state(session.client, started.id, run_id=started.run_id or None)
    if no_wait:
        session.show(state)
        return Exit.ACCEPTED
    if link := session.link(state.id, state.run_id):
        session.output.note(link, style="dim")
    state = await wait_for_end(session, state, timeout_s)
    session.show(state, link=session.output.as_json)
    if state.outcome == "running":
        session.output.note(f"Not closed after {timeout_s:g} s. {still_running(started.id)}")
    return exit_code(state)
