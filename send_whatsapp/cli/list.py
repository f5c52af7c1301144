"""The command `list`: the sends that match a filter, as a table or as JSON."""

import re
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from send_whatsapp.cli.errors import UsageError
from send_whatsapp.cli.options import Json, duration
from send_whatsapp.cli.output import Exit, Output
from send_whatsapp.cli.run import Session, run
from send_whatsapp.client.listed_rows import listed_rows
from send_whatsapp.client.listing import ListedSend, SendFilter, list_sends
from send_whatsapp.client.times import local_time
from send_whatsapp.contract.errors import ErrorType
from send_whatsapp.contract.result import Outcome

app = typer.Typer()


@app.command("list", epilog="Example: send-whatsapp list --outcome unknown --since 24h")
def list_(
    outcome: Annotated[Outcome | None, typer.Option(help="Only this outcome.")] = None,
    template: Annotated[str | None, typer.Option(help="Only this template.")] = None,
    last4: Annotated[
        str | None,
        typer.Option(
            help="Only phone numbers that end in these four digits; also finds rows of batches."
        ),
    ] = None,
    error_type: Annotated[ErrorType | None, typer.Option(help="Only this error type.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Only sends started within this time, for example 24h.")
    ] = None,
    limit: Annotated[int, typer.Option(help="How many sends to list at most.", min=1)] = 100,
    as_json: Json = False,
) -> None:
    """List sends, newest first. With --last4, rows of batches too."""
    output = Output(as_json=as_json)
    if last4 is not None and not re.fullmatch(r"[0-9]{4}", last4, re.ASCII):
        raise UsageError("--last4 must be the last four digits of a number, for example 2671")
    if template is not None and not template.strip():
        raise UsageError("--template must be the name of a template, for example visa_approved")
    wanted = SendFilter(
        outcome=outcome,
        template=template,
        last4=last4,
        error_type=error_type,
        started_after=datetime.now(UTC) - duration("--since", since) if since else None,
    )

    async def command(session: Session) -> Exit:
        client, ui_url = session.client, session.settings.ui_url
        found = await list_sends(client, wanted, limit, ui_url)
        found += await listed_rows(client, wanted, limit, ui_url)
        found = sorted(found, key=lambda send: send.started_at, reverse=True)[:limit]
        if as_json:
            output.json([listed.model_dump(mode="json", by_alias=True) for listed in found])
        elif not found:
            output.stdout.print("No message matches.")
        else:
            output.table(_table(found, on_terminal=output.stdout.is_terminal))
        return Exit.ACCEPTED

    run(command, output)


def _table(found: list[ListedSend], *, on_terminal: bool) -> Table:
    """Return a table in which ids are links; without a terminal a column shows the addresses."""
    table = Table(box=None)
    for name in ("started", "outcome", "kind", "to"):
        table.add_column(name, no_wrap=True)
    for name in ("template", "error"):
        table.add_column(name, overflow="fold")
    table.add_column("id", overflow="fold", no_wrap=not on_terminal)
    if not on_terminal:
        table.add_column("page in the Web UI", no_wrap=True)
    for send in found:
        digits = f"...{send.last4}" if send.last4 else ""
        cells = (send.outcome, send.kind, digits, send.template, send.error_type)
        name = send.id if send.row is None else f"{send.id} row {send.row}"
        id_ = Text(name, style=f"link {send.ui_url}" if on_terminal and send.ui_url else "")
        address = [] if on_terminal else [send.ui_url or ""]
        started = local_time(send.started_at)
        table.add_row(started, *(Text(cell or "") for cell in cells), id_, *address)
    return table
