"""The command `batch send`: checks a file of recipients and starts a batch with its rows."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from send_whatsapp.cli.batch_dry_run import show_dry_run
from send_whatsapp.cli.batch_progress import follow_batch, show_counts, watch_hint
from send_whatsapp.cli.dry_run import Templates
from send_whatsapp.cli.errors import UsageError
from send_whatsapp.cli.file_options import (
    ColumnMap,
    Empty,
    Encoding,
    HeaderRow,
    Hidden,
    SheetName,
    column_map,
)
from send_whatsapp.cli.operator import Reason, operator_origin
from send_whatsapp.cli.options import (
    At,
    AtMostOnce,
    BatchTimeout,
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
    Variables,
    Window,
    Zone,
    from_now,
    name_values,
    send_window,
    time_to_send,
)
from send_whatsapp.cli.output import Exit, Output
from send_whatsapp.cli.run import Session, load_settings, run
from send_whatsapp.client import batches
from send_whatsapp.client.batches import BatchLimits
from send_whatsapp.client.recipients.cells import Cells, FileError, WrongRow
from send_whatsapp.client.recipients.files import read
from send_whatsapp.client.recipients.listed_variables import with_listed_variables
from send_whatsapp.client.recipients.placeholders import unfilled_placeholders
from send_whatsapp.client.recipients.reading import HiddenRows, ReadOptions
from send_whatsapp.client.recipients.row_fields import EMPTY_VARIABLE, EmptyCells
from send_whatsapp.client.recipients.rows import Duplicates, each_person_once, rows_of
from send_whatsapp.contract.fields import FALLBACK_VARIABLE, check_order
from send_whatsapp.contract.names import InvalidKey, batch_id
from send_whatsapp.contract.validation import problems

MAX_LISTED = 200
"""Wrong rows that an error lists."""


def send(
    file: Annotated[Path, typer.Argument(help="CSV, JSON Lines or .xlsx file with a column `to`.")],
    key: Annotated[
        str, typer.Option(help="Key of the batch: accepted rows are not sent again under it.")
    ],
    template: Template = None,
    variables: Variables = None,
    message: Message = None,
    fallback: Fallback = None,
    file_url: FileUrl = None,
    file_type: KindOfFile = None,
    at_most_once: AtMostOnce = False,
    ignore_opt_out: IgnoreOptOut = False,
    in_order: InOrder = False,
    expires_in: ExpiresIn = None,
    columns: ColumnMap = None,
    header_row: HeaderRow = None,
    sheet: SheetName = None,
    hidden_rows: Hidden = HiddenRows.REFUSE,
    empty_cells: Empty = EmptyCells.REFUSE,
    encoding: Encoding = None,
    duplicates: Annotated[
        Duplicates,
        typer.Option(help="Two rows for one person: refuse the file, or keep one of them."),
    ] = Duplicates.REFUSE,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Check the file and show its first rows, without sending anything."
        ),
    ] = False,
    skip_invalid: Annotated[
        bool,
        typer.Option("--skip-invalid", help="Leave wrong rows out and report them as failed."),
    ] = False,
    resend_unknown: Annotated[
        bool, typer.Option("--resend-unknown", help="Send rows with outcome unknown again.")
    ] = False,
    reason: Reason = None,
    callback: Callback = None,
    rate: Annotated[
        int,
        typer.Option(help="Rows to start per minute at most; 0: no limit.", min=0, max=1_000_000),
    ] = 0,
    pause_after: Annotated[
        int, typer.Option(help="Pause after this many failures in a row.", min=1)
    ] = 20,
    in_flight: Annotated[
        int, typer.Option(help="Rows in flight at the same time at most.", min=1, max=1000)
    ] = 100,
    at: At = None,
    in_: In = None,
    window: Window = None,
    zone: Zone = None,
    no_wait: NoWait = False,
    timeout: BatchTimeout = None,
    as_json: Json = False,
) -> None:
    """Send to every row of a file. With the same key again, send only what was not sent.

    The options for the content apply to every row, but a row's own cell wins.

    Exit codes: 0 all rows accepted, 1 some failed, 2 the file is wrong, 3 some are unknown,
    5 still running: --timeout has passed, or the batch is paused and nobody is at a terminal.
    """
    output = Output(as_json=as_json)
    if reason is not None and not resend_unknown:
        raise UsageError("--reason needs --resend-unknown: it says why rows are sent again")
    origin = operator_origin(reason) if resend_unknown else None
    settings = load_settings(output)
    expires_at = from_now("--expires-in", expires_in)
    try:
        limits = BatchLimits(
            in_flight=in_flight,
            per_minute=rate or None,
            pause_after=pause_after,
            send_at=time_to_send(at, in_),
        )
        check_order(limits.send_at, expires_at)
    except ValidationError as error:
        [problem, *_] = problems(error)
        output.fail(
            Exit.INVALID, f"Nothing was sent: --at {problem.problem}; expected {problem.expected}"
        )
    except PydanticCustomError:
        output.fail(Exit.INVALID, "Nothing was sent: --expires-in ends before the batch starts")
    common: Cells = {
        "template": template,
        "message": message,
        "fileUrl": file_url,
        "fileType": file_type,
        "delivery": "at_most_once" if at_most_once else None,
        "inOrder": in_order,
        "variables": name_values("--var", variables)
        | ({FALLBACK_VARIABLE: fallback} if fallback is not None else {}),
        "ignoreOptOut": ignore_opt_out,
        "sendWindow": send_window(window, zone),
        "expiresAt": expires_at.isoformat(timespec="milliseconds") if expires_at else None,
    }
    common = {name: value for name, value in common.items() if value}
    options = ReadOptions(column_map(columns), header_row, sheet, hidden_rows, encoding)
    region = settings.default_region
    try:
        batch_id(key)
        table = read(file, options)
    except (InvalidKey, FileError) as error:
        output.fail(Exit.INVALID, str(error))
    if unfilled := unfilled_placeholders(common, {*table.columns, *table.columns.values()}):
        output.fail(Exit.INVALID, f"Nothing was sent: {unfilled[0]}")
    templates = Templates.load(output)
    rows, wrong = rows_of(table.rows, common, key, region, empty_cells)
    rows, wrong = with_listed_variables(rows, wrong, templates.catalogue)
    rows, clashes = each_person_once(rows, key, duplicates)
    if clashes and duplicates == Duplicates.REFUSE:
        output.fail(Exit.INVALID, _clashes_error(clashes))
    if wrong and not skip_invalid:
        output.fail(Exit.INVALID, _wrong_rows_error(wrong))
    if dry_run:
        show_dry_run(output, table.columns, rows, len(wrong), templates, limits.send_at)
        return
    rejected = [row.outcome() for row in wrong]

    async def command(session: Session) -> Exit:
        try:
            state = await batches.start(
                session.client,
                key,
                rows,
                rejected,
                resend_unknown=resend_unknown,
                limits=limits,
                task_queue=settings.task_queue,
                callback=callback,
                origin=origin,
            )
        except asyncio.CancelledError:
            output.fail(
                Exit.INTERRUPTED,
                "Interrupted before Temporal had every row: run the same command again",
            )
        if link := session.link(batch_id(key)):
            output.note(link)
        if no_wait:
            show_counts(output, state.counts)
            return Exit.ACCEPTED
        return await follow_batch(session, key, timeout)

    run(command, output, interrupted=watch_hint(key))


def _clashes_error(clashes: list[tuple[int, int]]) -> str:
    listed = "\n".join(f"lines {first} and {second}" for first, second in clashes[:MAX_LISTED])
    return (
        "Nothing was sent, because these rows are for the same person or have the same key:\n"
        f"{listed}\nGive each row its own `key`, or keep one of them with --duplicates first or"
        " --duplicates last"
    )


def _wrong_rows_error(wrong: list[WrongRow]) -> str:
    listed = "\n".join(map(str, wrong[:MAX_LISTED]))
    if len(wrong) > MAX_LISTED:
        listed += f"\nand {len(wrong) - MAX_LISTED:,} more"
    empty = any(problem.problem == EMPTY_VARIABLE for row in wrong for problem in row.problems)
    return (
        f"Nothing was sent, because {len(wrong):,} rows cannot be sent:\n{listed}\n"
        "Correct them, or leave them out with --skip-invalid"
        + (
            ", or leave only the empty variables out with --empty-cells skip (not for a template"
            " whose variables are listed in TEMPLATES_FILE)"
            if empty
            else ""
        )
    )
