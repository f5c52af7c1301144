"""`send-whatsapp batch`: thousands of recipients from a file, and what became of each."""

import asyncio
import csv
import io
import os
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text
from temporalio.client import Client

from send_whatsapp.cli.command import FileTypes, Json, duration, run, variables
from send_whatsapp.cli.output import Exit, err, fail, out, print_json
from send_whatsapp.cli.waiting import LOOK_EVERY_S
from send_whatsapp.client import batches
from send_whatsapp.client.batches import BatchLimits
from send_whatsapp.client.links import ui_link
from send_whatsapp.client.recipients import files as batch_file
from send_whatsapp.client.recipients.files import FileError
from send_whatsapp.client.recipients.rows import Duplicates, each_person_once, rows_of
from send_whatsapp.contract.batch import BatchState, Counts, RowOutcome
from send_whatsapp.contract.names import InvalidKey, batch_id
from send_whatsapp.settings import StarterSettings
from send_whatsapp.temporal.connection import TemporalUnavailable
from send_whatsapp.temporal.task_queue import no_worker

AWAY_FOR_AT_MOST_S = 60

app = typer.Typer(help="Send to many recipients from a file.", no_args_is_help=True)

Key = Annotated[str, typer.Argument(help="The batch's key.")]


@app.command()
def send(
    file: Annotated[Path, typer.Argument(help="CSV, JSON Lines or .xlsx with a column `to`.")],
    key: Annotated[str, typer.Option(help="The batch's key; the same key never sends twice.")],
    template: Annotated[str | None, typer.Option(help="Template name for all rows.")] = None,
    var: Annotated[list[str] | None, typer.Option(help="name=value for all rows.")] = None,
    message: Annotated[str | None, typer.Option(help="Free text for all rows.")] = None,
    fallback: Annotated[str | None, typer.Option(help="Text where no flow matches.")] = None,
    file_url: Annotated[str | None, typer.Option("--file", help="URL of a file for all.")] = None,
    file_type: Annotated[FileTypes | None, typer.Option(help="What the file is.")] = None,
    at_most_once: Annotated[bool, typer.Option("--at-most-once", help="Never twice.")] = False,
    expires_in: Annotated[str | None, typer.Option(help="Not later than this, e.g. 2h.")] = None,
    column_map: Annotated[
        list[str] | None, typer.Option(help="to=Phone: the column `to` is called Phone.")
    ] = None,
    duplicates: Annotated[
        Duplicates, typer.Option(help="Two rows for one person: refuse, or keep one.")
    ] = Duplicates.REFUSE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the file only.")] = False,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Leave wrong rows out; report them as failed.")
    ] = False,
    resend_unknown: Annotated[
        bool, typer.Option("--resend-unknown", help="Send rows again whose outcome is unknown.")
    ] = False,
    rate: Annotated[
        int | None, typer.Option(help="Rows begun in a minute, at most.", min=1, max=1_000_000)
    ] = None,
    pause_after: Annotated[
        int, typer.Option(help="Failures in a row after which the batch pauses.", min=1)
    ] = 20,
    in_flight: Annotated[int, typer.Option(help="Rows in flight at once.", min=1, max=1000)] = 100,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Start it and return.")] = False,
    as_json: Json = False,
) -> None:
    """Send to every row of a file; the same key again sends only what was not sent."""
    try:
        batch_id(key)
    except InvalidKey as error:
        fail(Exit.INVALID, str(error), as_json=as_json)
    common: dict[str, Any] = {
        "template": template,
        "message": message,
        "fileUrl": file_url,
        "fileType": file_type.value if file_type else None,
        "delivery": "at_most_once" if at_most_once else None,
        "variables": variables(var or [], as_json=as_json)
        | ({"fallback_message": fallback} if fallback is not None else {}),
        "expiresAt": _from_now(expires_in, as_json=as_json),
    }
    common = {name: value for name, value in common.items() if value}
    names = {theirs: ours for ours, theirs in variables(column_map or [], as_json=as_json).items()}
    region = os.environ.get("CGB_DEFAULT_REGION") or "US"
    try:
        cells = batch_file.read(file, names)
    except FileError as error:
        fail(Exit.INVALID, str(error), as_json=as_json)
    good, bad = rows_of(cells, common, key, region)
    good, clashes = each_person_once(good, key, region, duplicates)
    if clashes and duplicates == Duplicates.REFUSE:
        listed = "\n".join(f"lines {a} and {b} are for one person or key" for a, b in clashes)
        fail(
            Exit.INVALID,
            f"Nothing was sent:\n{listed}\nGive each a `key` of its own, or --duplicates first",
            as_json=as_json,
        )
    if bad and not skip_invalid:
        listed = "\n".join(str(wrong) for wrong in bad)
        fail(
            Exit.INVALID,
            f"Nothing was sent, {len(bad):,} rows are wrong:\n{listed}",
            as_json=as_json,
        )
    if dry_run:
        said = {"rows": len(good), "wrong": len(bad)}
        print_json(said) if as_json else out.print(
            f"{len(good):,} rows are sound, {len(bad):,} not"
        )
        return
    rejected = [wrong.outcome() for wrong in bad]

    async def command(client: Client, settings: StarterSettings) -> Exit:
        try:
            state = await batches.start(
                client,
                key,
                good,
                rejected,
                resend_unknown=resend_unknown,
                limits=BatchLimits(in_flight=in_flight, per_minute=rate, pause_after=pause_after),
                task_queue=settings.task_queue,
            )
        except asyncio.CancelledError:
            said = "Interrupted before every row was handed over: run the same command again."
            fail(Exit.INTERRUPTED, said, as_json=as_json)
        err.print(ui_link(settings.ui_url, client.namespace, batch_id(key)) or "", markup=False)
        if no_wait:
            _show(state.counts, as_json=as_json)
            return Exit.ACCEPTED
        return await _to_the_end(client, settings, key, as_json=as_json)

    run(command, as_json=as_json, interrupted=f"It goes on: send-whatsapp batch watch {key}")


def _from_now(expires_in: str | None, *, as_json: bool) -> str | None:
    if expires_in is None:
        return None
    lasts = duration("--expires-in", expires_in, as_json=as_json)
    return (datetime.now(UTC) + lasts).isoformat(timespec="milliseconds")


@app.command()
def watch(key: Key, as_json: Json = False) -> None:
    """Wait for a batch; the exit code is that of `batch send`."""
    run(
        lambda client, settings: _to_the_end(client, settings, key, as_json=as_json),
        as_json=as_json,
        interrupted=f"It goes on: send-whatsapp batch watch {key}",
    )


@app.command()
def status(key: Key, as_json: Json = False) -> None:
    """Print the rows by outcome."""

    async def command(client: Client, _: StarterSettings) -> Exit:
        state = await batches.get_status(client, key)
        if as_json:
            paused = {"paused": state.paused and state.running, "pauseReason": state.pause_reason}
            print_json(_object(state.counts) | paused)
            return Exit.ACCEPTED
        _show(state.counts, as_json=False)
        if state.paused and state.running:
            out.print(f"Paused, since {state.pause_reason}.", markup=False)
        return Exit.ACCEPTED

    run(command, as_json=as_json)


@app.command()
def pause(key: Key, as_json: Json = False) -> None:
    """Begin no further row; what is in flight ends."""
    _command(key, as_json, batches.pause)


@app.command()
def resume(key: Key, as_json: Json = False) -> None:
    """Go on where a batch was paused."""
    _command(key, as_json, batches.resume)


@app.command()
def rate(
    key: Key,
    per_minute: Annotated[
        int, typer.Argument(help="Rows begun in a minute; 0 for no limit.", min=0, max=1_000_000)
    ],
    as_json: Json = False,
) -> None:
    """Change how fast a running batch goes."""

    async def command(client: Client, _: StarterSettings) -> Exit:
        state = await batches.set_rate(client, key, per_minute or None)
        _show(state.counts, as_json=as_json)
        return Exit.ACCEPTED

    run(command, as_json=as_json)


@app.command()
def cancel(key: Key, as_json: Json = False) -> None:
    """Cancel a batch; the answer says how many rows were sent all the same."""

    async def command(client: Client, settings: StarterSettings) -> Exit:
        await batches.cancel(client, key)
        counts = await _ended(client, settings, key)
        _show(counts, as_json=as_json)
        return Exit.ACCEPTED

    run(command, as_json=as_json)


@app.command()
def report(
    key: Key,
    to_file: Annotated[Path | None, typer.Option("--out", help="CSV file to write.")] = None,
    as_json: Json = False,
) -> None:
    """Write a line for each row, in the order of the file."""

    async def command(client: Client, _: StarterSettings) -> Exit:
        rows = await batches.outcomes(client, key)
        if as_json:
            print_json([batches.report_row(row) for row in rows])
        else:
            text = _csv(rows)
            if to_file:
                to_file.write_text(text, encoding="utf-8", newline="")
            else:
                sys.stdout.write(text)
        return Exit.ACCEPTED

    run(command, as_json=as_json)


@app.command("retry-failed")
def retry_failed(key: Key, as_json: Json = False) -> None:
    """Send the rows again that failed or were never sent, without a file."""

    async def command(client: Client, settings: StarterSettings) -> Exit:
        rows, rejected = await batches.failed_rows(client, key)
        if rows:
            await batches.start(
                client, key, rows, rejected, whole=False, task_queue=settings.task_queue
            )
        return await _to_the_end(client, settings, key, as_json=as_json)

    run(command, as_json=as_json)


def _command(
    key: str, as_json: bool, change: Callable[[Client, str], Awaitable[BatchState]]
) -> None:
    async def command(client: Client, _: StarterSettings) -> Exit:
        _show((await change(client, key)).counts, as_json=as_json)
        return Exit.ACCEPTED

    run(command, as_json=as_json)


async def _to_the_end(
    client: Client, settings: StarterSettings, key: str, *, as_json: bool
) -> Exit:
    counts = await _ended(client, settings, key)
    _show(counts, as_json=as_json)
    if counts.outcome == "unknown":
        return Exit.UNKNOWN
    return Exit.ACCEPTED if counts.outcome == "accepted" else Exit.FAILED


class _Rate(ProgressColumn):
    """Rows ended a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


async def _ended(client: Client, settings: StarterSettings, key: str) -> Counts:
    """Wait for the batch, showing how it goes on, and return the present truth of its rows.

    A server that is away for less than a minute is waited for.
    """
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=err,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task("sending", total=None)
        last, moved, hinted, answered = "", time.monotonic(), False, time.monotonic()
        while True:
            try:
                state = await batches.get_status(client, key)
            except TemporalUnavailable:
                if time.monotonic() - answered > AWAY_FOR_AT_MOST_S:
                    raise
                continue
            answered = time.monotonic()
            counts = state.counts
            words = counts.summary() + (f" (paused: {state.pause_reason})" if state.paused else "")
            bar.update(task, total=counts.total, completed=counts.ended, description=words)
            if words != last:
                last, moved = words, answered
                if bar.disable:
                    err.print(words, markup=False)
            if not state.running:
                return counts
            if not hinted and answered - moved > LOOK_EVERY_S:
                hinted = True
                if await no_worker(client, settings.task_queue):
                    said = f"No worker serves task queue {settings.task_queue}:"
                    err.print(f"{said} start one with `make worker`.", markup=False)
            await asyncio.sleep(0.5)


def _show(counts: Counts, *, as_json: bool) -> None:
    if as_json:
        print_json(_object(counts))
    else:
        out.print(counts.summary(), markup=False)


def _object(counts: Counts) -> dict[str, Any]:
    return counts.model_dump() | {"total": counts.total}


def _csv(rows: list[RowOutcome]) -> str:
    sink = io.StringIO(newline="")
    writer = csv.DictWriter(sink, batches.REPORT_COLUMNS)
    writer.writeheader()
    for row in rows:
        writer.writerow({n: "" if v is None else v for n, v in batches.report_row(row).items()})
    return sink.getvalue()
