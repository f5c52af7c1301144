"""The command line `send-whatsapp`: sends, and asks how sends stand."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from temporalio.client import Client

from send_whatsapp.cli import batch as batch_cli
from send_whatsapp.cli.command import FileTypes, Json, duration, run
from send_whatsapp.cli.command import variables as variables_of
from send_whatsapp.cli.output import (
    Exit,
    err,
    exit_code,
    fail,
    out,
    print_json,
    show_state,
)
from send_whatsapp.cli.waiting import wait_for_end
from send_whatsapp.client import listing, sends
from send_whatsapp.client.links import ui_link
from send_whatsapp.client.state import Started, State, get_state
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.contract.validation import problems
from send_whatsapp.gateway import webhooks
from send_whatsapp.settings import SettingsError, StarterSettings
from send_whatsapp.temporal.process import exit_now

app = typer.Typer(
    help="Send WhatsApp messages through Temporal, and see what became of them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(batch_cli.app, name="batch")


@app.command(
    epilog="Example: send-whatsapp send --to +1234567890 --template visa_approved"
    ' --var name="John Doe" --fallback "Your visa has been approved!"'
)
def send(
    to: Annotated[str, typer.Option(help="Phone number in any usual notation.")],
    message: Annotated[str | None, typer.Option(help="Free text, 1 to 4,096 characters.")] = None,
    template: Annotated[str | None, typer.Option(help="Template name.")] = None,
    var: Annotated[
        list[str] | None, typer.Option(help="Template variable, as name=value; repeatable.")
    ] = None,
    fallback: Annotated[
        str | None, typer.Option(help="Text to send where no flow matches the template.")
    ] = None,
    file: Annotated[str | None, typer.Option(help="http(s) URL of a file.")] = None,
    file_type: Annotated[FileTypes | None, typer.Option(help="What the file is.")] = None,
    at_most_once: Annotated[
        bool, typer.Option("--at-most-once", help="Never send twice; rather end as unknown.")
    ] = False,
    key: Annotated[
        str | None, typer.Option(help="Idempotency key; it becomes the workflow id.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Start the key again although its outcome is unknown.")
    ] = False,
    expires_in: Annotated[
        str | None, typer.Option(help="Do not send later than this, for example 90s, 10m, 2h.")
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="Send at this time, ISO 8601 with its zone.")
    ] = None,
    in_: Annotated[
        str | None, typer.Option("--in", help="Send after this time, for example 10m.")
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Start it and return.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the end.", min=0)] = 120.0,
    as_json: Json = False,
) -> None:
    """Send one message and wait for the provider's answer."""
    variables = variables_of(var or [], as_json=as_json)
    if fallback is not None:
        if template is None or "fallback_message" in variables:
            fail(
                Exit.INVALID,
                "--fallback stands beside --template, and not beside --var fallback_message=...",
                as_json=as_json,
            )
        variables["fallback_message"] = fallback
    if at is not None and in_ is not None:
        fail(Exit.INVALID, "--at and --in are two times, give one", as_json=as_json)
    now = datetime.now(UTC)
    send_at = now + duration("--in", in_, as_json=as_json) if in_ is not None else at
    fields: dict[str, Any] = {
        "to": to,
        "message": message,
        "template": template,
        "variables": variables or None,
        "fileUrl": file,
        "fileType": file_type.value if file_type else None,
        "delivery": "at_most_once" if at_most_once else "at_least_once",
        "sendAt": send_at,
    }
    if expires_in is not None:
        fields["expiresAt"] = now + duration("--expires-in", expires_in, as_json=as_json)
    try:
        request = SendWhatsAppRequest.model_validate(fields)
    except ValidationError as error:
        wrong = "; ".join(f"{p.field} {p.problem} (expected {p.expected})" for p in problems(error))
        fail(Exit.INVALID, f"The request is wrong: {wrong}", as_json=as_json)

    async def command(client: Client, settings: StarterSettings) -> Exit:
        started = await sends.start_send(
            client, request, key=key, force=force, task_queue=settings.task_queue
        )
        return await _follow(client, settings, started, no_wait, timeout, as_json)

    run(command, as_json=as_json)


@app.command(epilog="Example: send-whatsapp status order-4711 --json")
def status(
    id: Annotated[str, typer.Argument(help="Workflow id, which is the key of a send with one.")],
    as_json: Json = False,
) -> None:
    """Say how a send stands; the exit code is that of `send`, and 5 while it runs."""

    async def command(client: Client, settings: StarterSettings) -> Exit:
        state = await get_state(client, id)
        show_state(state, _link(client, settings, state), as_json=as_json)
        return exit_code(state)

    run(command, as_json=as_json)


@app.command(epilog="Example: send-whatsapp cancel order-4711")
def cancel(
    id: Annotated[str, typer.Argument(help="Workflow id.")],
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the end.", min=0)] = 120.0,
    as_json: Json = False,
) -> None:
    """Cancel a send; the answer is true: nothing was sent, or it is too late.

    Exit code 0 where the send was cancelled (or had been), else that of `send`, 1 for too late.
    """

    async def command(client: Client, settings: StarterSettings) -> Exit:
        before = await get_state(client, id)
        if before.outcome == "running":
            await sends.request_cancel(client, before)
        state = await wait_for_end(client, before, timeout, settings.task_queue)
        show_state(state, _link(client, settings, state), as_json=as_json)
        if state.outcome == "cancelled":
            err.print("Cancelled, nothing was sent.")
            return Exit.ACCEPTED
        if state.outcome == "accepted" and state.result:
            err.print(f"Too late, it was sent at {state.result.timestamp}.", markup=False)
            return Exit.FAILED
        if state.outcome == "running":
            err.print("It is asked to stop, but has not ended yet: ask again with `status`.")
        return exit_code(state)

    run(command, as_json=as_json)


@app.command(epilog="Example: send-whatsapp resend order-4711")
def resend(
    id: Annotated[str, typer.Argument(help="Workflow id (key) of the closed send.")],
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Start it and return.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the end.", min=0)] = 120.0,
    as_json: Json = False,
) -> None:
    """Send a closed send's message again, as a new run that is linked to the old one."""

    async def command(client: Client, settings: StarterSettings) -> Exit:
        started = await sends.resend(client, id, task_queue=settings.task_queue)
        return await _follow(client, settings, started, no_wait, timeout, as_json)

    run(command, as_json=as_json)


@app.command("list", epilog="Example: send-whatsapp list --outcome unknown --since 24h")
def list_(
    outcome: Annotated[listing.Outcomes | None, typer.Option(help="Only this outcome.")] = None,
    template: Annotated[str | None, typer.Option(help="Only this template.")] = None,
    last4: Annotated[
        str | None, typer.Option("--last4", help="Only numbers that end in these four digits.")
    ] = None,
    error_type: Annotated[str | None, typer.Option(help="Only this error type.")] = None,
    since: Annotated[str | None, typer.Option(help="Begun in this time, for example 24h.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many, newest first.", min=1)] = 100,
    as_json: Json = False,
) -> None:
    """List sends, newest first."""
    begun = datetime.now(UTC) - duration("--since", since, as_json=as_json) if since else None
    wanted = listing.Filter(
        outcome=outcome.value if outcome else None,
        template=template,
        last4=last4,
        error_type=error_type,
        begun_after=begun,
    )

    async def command(client: Client, settings: StarterSettings) -> Exit:
        rows = await listing.rows(client, wanted, limit, settings.ui_url)
        if as_json:
            print_json([row.model_dump(mode="json", by_alias=True) for row in rows])
        else:
            if not out.is_terminal:
                # What a pipe takes is never folded to a terminal's width.
                out.width = 1000
            out.print(listing.table(rows, terminal=out.is_terminal))
        return Exit.ACCEPTED

    run(command, as_json=as_json)


@app.command(epilog="Example: send-whatsapp doctor")
def doctor() -> None:
    """Check settings, Temporal, provider key, account and flows; exit code 4 for anything wrong."""
    # Imported here, as below: they are half of what a command waits for at its start.
    from send_whatsapp.cli import doctor as checks

    exit_now(asyncio.run(checks.doctor()))


@app.command(epilog="Example: GATEWAY_BIND=127.0.0.1:8080 send-whatsapp gateway")
def gateway() -> None:
    """Serve the HTTP gateway at GATEWAY_BIND."""
    from send_whatsapp.gateway import app as gateways

    gateways.main()


@app.command(
    epilog="Example: send-whatsapp webhook examples/webhooks/webhooks.yaml shop"
    " --sample examples/webhooks/shop.json"
)
def webhook(
    file: Annotated[Path, typer.Argument(help="File that declares webhooks (docs/webhooks.md).")],
    name: Annotated[str, typer.Argument(help="The webhook's name in it.")],
    sample: Annotated[
        typer.FileBinaryRead, typer.Option(help="A body as its sender sends it; - for stdin.")
    ],
) -> None:
    """Show what a webhook makes of a sample body, as JSON, without sending anything."""
    try:
        made = webhooks.dry_run(file, name, sample.read())
    except (SettingsError, webhooks.InvalidWebhookBody) as error:
        fail(Exit.INVALID, str(error))
    print_json(made)
    exit_now(Exit.ACCEPTED)


async def _follow(
    client: Client,
    settings: StarterSettings,
    started: Started,
    no_wait: bool,
    timeout: float,
    as_json: bool,
) -> Exit:
    state = await get_state(client, started.id, run_id=started.run_id or None)
    link = _link(client, settings, state)
    if no_wait:
        show_state(state, link, as_json=as_json)
        return Exit.ACCEPTED
    if link:
        err.print(link, markup=False, style="dim")
    state = await wait_for_end(client, state, timeout, settings.task_queue)
    show_state(state, link, as_json=as_json)
    if state.outcome == "running":
        err.print(
            f"Still running after {timeout:g} s; it goes on. Come back with:"
            f" send-whatsapp status {started.id}",
            markup=False,
        )
    return exit_code(state)


def _link(client: Client, settings: StarterSettings, state: State) -> str | None:
    return ui_link(settings.ui_url, client.namespace, state.id, state.run_id)


def main() -> None:
    """Run the command line; no way out shows a traceback."""
    try:
        app()
    except SystemExit as error:
        if isinstance(error.code, str):
            err.print(error.code, markup=False)
            exit_now(Exit.FAILED)
        if error.code == Exit.INVALID and "--json" in sys.argv:
            # Typer has shown the usage on standard error; whoever reads JSON gets some.
            fail(Exit.INVALID, "The command line is wrong: see --help", as_json=True)
        exit_now(error.code or Exit.ACCEPTED)
    except KeyboardInterrupt:
        exit_now(Exit.INTERRUPTED)
    except Exception as error:
        err.print(f"Unexpected: {type(error).__name__}. This is a defect; please report it.")
        exit_now(Exit.FAILED)
