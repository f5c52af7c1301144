"""The command `list`: the sends that match a filter, as a table or as JSON."""

from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from send_whatsapp.cli.options import Json, duration
from send_whatsapp.cli.output import Exit, Output
from send_whatsapp.cli.run import Session, run
from send_whatsapp.client.listing import ListedSend, SendFilter, list_sends
from send_whatsapp.contract.result import Outcome

app = typer.Typer()

PIPE_WIDTH: Final = 1000
"""Columns of a table that is not printed on a terminal: wide enough never to fold a line."""


@app.command("list", epilog="Example: send-whatsapp list --outcome unknown --since 24h")
def list_(
    outcome: Annotated[Outcome | None, typer.Option(help="Only this outcome.")] = None,
    template: Annotated[str | None, typer.Option(help="Only this template.")] = None,
    last4: Annotated[
        str | None, typer.Option(help="Only phone numbers that end in these four digits.")
    ] = None,
    error_type: Annotated[str | None, typer.Option(help="Only this error type.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Only sends started within this time, for example 24h.")
    ] = None,
    limit: Annotated[int, typer.Option(help="How many sends to list at most.", min=1)] = 100,
    as_json: Json = False,
) -> None:
    """List sends, newest first."""
    output = Output(as_json=as_json)
    wanted = SendFilter(
        outcome=outcome,
        template=template,
        last4=last4,
        error_type=error_type,
        started_after=datetime.now(UTC) - duration("--since", since) if since else None,
    )

    async def command(session: Session) -> Exit:
        found = await list_sends(session.client, wanted, limit, session.settings.ui_url)
        if as_json:
            output.json([listed.model_dump(mode="json", by_alias=True) for listed in found])
        else:
            if not output.stdout.is_terminal:
                output.stdout.width = PIPE_WIDTH
            output.stdout.print(_table(found, on_terminal=output.stdout.is_terminal))
        return Exit.ACCEPTED

    run(command, output)


def _table(found: list[ListedSend], *, on_terminal: bool) -> Table:
    """Return a table in which ids are links; without a terminal a column shows the addresses."""
    table = Table(box=None)
    for name in ("started", "outcome", "kind"):
        table.add_column(name, no_wrap=True)
    for name in ("template", "error"):
        table.add_column(name, overflow="fold")
    table.add_column("id", overflow="fold", no_wrap=not on_terminal)
    if not on_terminal:
        table.add_column("page in the Web UI", no_wrap=True)
    for send in found:
        started = send.started_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        cells = (send.outcome, send.kind, send.template, send.error_type)
        id_ = Text(send.id, style=f"link {send.ui_url}" if on_terminal and send.ui_url else "")
        address = [] if on_terminal else [send.ui_url or ""]
        table.add_row(started, *(Text(cell or "") for cell in cells), id_, *address)
    return table
