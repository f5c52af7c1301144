"""The command `batch list`: every batch with its state, as a table or as JSON."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from send_whatsapp.cli.options import Json
from send_whatsapp.cli.output import Exit, Output
from send_whatsapp.cli.run import Session, run
from send_whatsapp.client import batches
from send_whatsapp.client.batches import ListedBatch
from send_whatsapp.client.times import local_time


def list_(
    limit: Annotated[int, typer.Option(help="How many batches to list at most.", min=1)] = 100,
    as_json: Json = False,
) -> None:
    """List batches, those that started last first."""
    output = Output(as_json=as_json)

    async def command(session: Session) -> Exit:
        found = await batches.list_batches(session.client, limit, session.settings.ui_url)
        if as_json:
            output.json([batch.model_dump(mode="json", by_alias=True) for batch in found])
        elif found:
            output.table(_table(found))
        else:
            output.stdout.print("There are no batches.")
        return Exit.ACCEPTED

    run(command, output)


def _table(found: list[ListedBatch]) -> Table:
    table = Table(box=None)
    for name in ("started", "outcome", "rows"):
        table.add_column(name, no_wrap=True)
    table.add_column("key", overflow="fold")
    for batch in found:
        outcome = "paused" if batch.paused else batch.outcome
        cells = (local_time(batch.started_at), outcome, batch.counts.summary(), batch.key)
        table.add_row(*map(Text, cells))
    return table
