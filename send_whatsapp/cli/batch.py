"""The commands for batches: start one from a file, follow and control it, and read its report."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer
from temporalio.client import Client

from send_whatsapp.cli import batch_list, batch_send
from send_whatsapp.cli.batch_progress import (
    follow_batch,
    show_counts,
    show_status,
    wait_for_batch,
    watch_hint,
)
from send_whatsapp.cli.options import BatchTimeout, Json
from send_whatsapp.cli.output import Exit, Output
from send_whatsapp.cli.report_files import check_report_file, print_report, write_report
from send_whatsapp.cli.run import Session, run
from send_whatsapp.client import batches
from send_whatsapp.contract.batch import BatchState
from send_whatsapp.contract.result import Outcome

app = typer.Typer(help="Send to many recipients from a file.", no_args_is_help=True)
app.command(
    epilog="Example: send-whatsapp batch send people.csv --key jan-2027 --template visa_approved"
)(batch_send.send)
app.command("list", epilog="Example: send-whatsapp batch list")(batch_list.list_)

Key = Annotated[str, typer.Argument(help="Key of the batch.")]


@app.command(epilog="Example: send-whatsapp batch watch jan-2027")
def watch(key: Key, timeout: BatchTimeout = None, as_json: Json = False) -> None:
    """Wait for the end of a batch; the exit code is that of `batch send`."""

    async def command(session: Session) -> Exit:
        return await follow_batch(session, key, timeout)

    run(command, Output(as_json=as_json), interrupted=watch_hint(key))


@app.command(epilog="Example: send-whatsapp batch status jan-2027 --json")
def status(key: Key, as_json: Json = False) -> None:
    """Show how many rows have which outcome."""

    async def command(session: Session) -> Exit:
        show_status(session.output, await batches.get_status(session.client, key))
        return Exit.ACCEPTED

    run(command, Output(as_json=as_json))


@app.command(epilog="Example: send-whatsapp batch pause jan-2027")
def pause(key: Key, as_json: Json = False) -> None:
    """Start no more rows; rows in flight end."""
    _control(batches.pause, key, Output(as_json=as_json))


@app.command(epilog="Example: send-whatsapp batch resume jan-2027")
def resume(key: Key, as_json: Json = False) -> None:
    """Continue a paused batch."""
    _control(batches.resume, key, Output(as_json=as_json))


@app.command(epilog="Example: send-whatsapp batch rate jan-2027 600")
def rate(
    key: Key,
    per_minute: Annotated[
        int, typer.Argument(help="Rows to start per minute; 0: no limit.", min=0, max=1_000_000)
    ],
    as_json: Json = False,
) -> None:
    """Change how many rows a running batch starts per minute."""

    async def set_rate(client: Client, key: str) -> BatchState:
        return await batches.set_rate(client, key, per_minute or None)

    _control(set_rate, key, Output(as_json=as_json))


@app.command(epilog="Example: send-whatsapp batch cancel jan-2027")
def cancel(key: Key, as_json: Json = False) -> None:
    """Cancel a batch and show how many of its rows were sent before that."""

    async def command(session: Session) -> Exit:
        await batches.cancel(session.client, key)
        show_counts(session.output, (await wait_for_batch(session, key)).counts)
        return Exit.ACCEPTED

    run(command, Output(as_json=as_json))


@app.command(epilog="Example: send-whatsapp batch report jan-2027 --out report.csv")
def report(
    key: Key,
    to_file: Annotated[
        Path | None,
        typer.Option("--out", help="Write it to this file: .csv, or .xlsx for an Excel workbook."),
    ] = None,
    outcome: Annotated[Outcome | None, typer.Option(help="Only rows with this outcome.")] = None,
    as_json: Json = False,
) -> None:
    """Print the outcome of each row as CSV, in the order of the file."""
    if to_file:
        check_report_file(to_file)

    async def command(session: Session) -> Exit:
        found = await batches.outcomes(session.client, key)
        rows = [row for row in found if outcome in (None, row.outcome)]
        if to_file:
            write_report(to_file, rows)
        if as_json:
            session.output.json([batches.report_row(row) for row in rows])
        elif not to_file:
            print_report(rows)
        return Exit.ACCEPTED

    run(command, Output(as_json=as_json))


@app.command("retry-failed", epilog="Example: send-whatsapp batch retry-failed jan-2027")
def retry_failed(key: Key, timeout: BatchTimeout = None, as_json: Json = False) -> None:
    """Resend the rows that failed or were never sent; needs no file."""

    async def command(session: Session) -> Exit:
        rows, invalid = await batches.failed_rows(session.client, key)
        if rows:
            await batches.start(
                session.client,
                key,
                rows,
                invalid,
                is_whole_file=False,
                task_queue=session.settings.task_queue,
            )
        return await follow_batch(session, key, timeout)

    run(command, Output(as_json=as_json), interrupted=watch_hint(key))


def _control(
    change: Callable[[Client, str], Awaitable[BatchState]], key: str, output: Output
) -> None:
    """Change a running batch and show its rows by outcome."""

    async def command(session: Session) -> Exit:
        show_counts(output, (await change(session.client, key)).counts)
        return Exit.ACCEPTED

    run(command, output)
