"""The command `resend`: sends one closed message again, or every failed one that a filter finds."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

import typer

from send_whatsapp.cli.errors import UsageError
from send_whatsapp.cli.options import (
    DEFAULT_TIMEOUT_S,
    Json,
    NoWait,
    Timeout,
    duration,
)
from send_whatsapp.cli.output import Exit, Output
from send_whatsapp.cli.run import Session, run
from send_whatsapp.cli.send import follow, still_running
from send_whatsapp.client import sends
from send_whatsapp.client.errors import KeyConflict
from send_whatsapp.client.listing import ListedSend, SendFilter, list_sends
from send_whatsapp.client.state import Started, get_state
from send_whatsapp.client.times import local_time
from send_whatsapp.contract.errors import ErrorType

app = typer.Typer()

T = TypeVar("T")
R = TypeVar("R")

MAX_SENDS = 100_000
CONCURRENT_CALLS = 20


@app.command(
    epilog="Example: send-whatsapp resend order-4711"
    "  or: send-whatsapp resend --outcome failed --error-type Unauthorized --since 2h --dry-run"
)
def resend(
    id: Annotated[
        str | None,
        typer.Argument(help="Workflow id (key) of one closed send; without it give --outcome."),
    ] = None,
    outcome: Annotated[
        Literal["failed", "cancelled"] | None,
        typer.Option(help="Start every send with this outcome again, each under its own key."),
    ] = None,
    error_type: Annotated[
        ErrorType | None, typer.Option(help="With --outcome: only sends with this error type.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="With --outcome: only sends started within this time, for example 2h."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --outcome: list the sends, start nothing.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Send a message again that the provider has accepted."),
    ] = False,
    no_wait: NoWait = False,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    as_json: Json = False,
) -> None:
    """Send again: one closed send as a new run, or every failed send that matches a filter.

    A send that is found by a filter starts again under its own key, so the key still sends once.
    """
    if (id is None) == (outcome is None):
        raise UsageError("give either the id of one send, or --outcome to send many again")
    if outcome is None and (error_type or since or dry_run):
        raise UsageError("--error-type, --since and --dry-run need --outcome")
    if outcome is not None and force:
        raise UsageError("--force needs the id of one send: it sends an accepted message again")
    wanted = SendFilter(
        outcome=outcome,
        error_type=error_type,
        started_after=datetime.now(UTC) - duration("--since", since) if since else None,
    )

    interrupted = "Interrupted. See what was started with: send-whatsapp list --since 5m"

    async def one(session: Session) -> Exit:
        queue = session.settings.task_queue
        nonlocal interrupted
        started = await sends.resend(session.client, id or "", force=force, task_queue=queue)
        interrupted = still_running(started.id)
        return await follow(session, started, no_wait, timeout)

    async def many(session: Session) -> Exit:
        # Other task queues may send from other accounts.
        ours = wanted.model_copy(update={"task_queue": session.settings.task_queue})
        found = await list_sends(session.client, ours, MAX_SENDS, session.settings.ui_url)
        # An id may have several failed runs; its message is sent once.
        ids = list(dict.fromkeys(send.id for send in reversed(found)))
        if dry_run:
            return await _show_what_would_start(session, found)
        return await _start_all(session, ids)

    run(one if id else many, Output(as_json=as_json), interrupted=lambda: interrupted)


async def _show_what_would_start(session: Session, found: list[ListedSend]) -> Exit:
    async def is_latest(send: ListedSend) -> bool:
        return (await get_state(session.client, send.id)).run_id == send.run_id

    latest = await _each(found, is_latest)
    listed = [send for send, wanted in zip(found, latest, strict=True) if wanted]
    lines = [f"{local_time(send.started_at)}  {send.error_type}  {send.id}" for send in listed]
    lines.append(f"{len(listed):,} sends would start again. Nothing was started.")
    as_json = [send.model_dump(mode="json", by_alias=True) for send in listed]
    session.output.result(as_json, "\n".join(lines))
    return Exit.ACCEPTED


async def _start_all(session: Session, ids: list[str]) -> Exit:
    async def start(workflow_id: str) -> Started | str:
        try:
            queue = session.settings.task_queue
            return await sends.start_again(session.client, workflow_id, task_queue=queue)
        except KeyConflict as error:
            return str(error)

    results = await _each(ids, start)
    started = [each for each in results if isinstance(each, Started) and not each.existing]
    refused = [each for each in results if isinstance(each, str)]
    for reason in refused:
        session.output.note(reason)
    session.output.result(
        {
            "started": [{"id": each.id, "runId": each.run_id} for each in started],
            "refused": refused,
        },
        f"{len(started):,} of {len(ids):,} sends started again.",
    )
    return Exit.FAILED if refused else Exit.ACCEPTED


async def _each(items: Sequence[T], work: Callable[[T], Awaitable[R]]) -> list[R]:
    """Return the results for all items, a few at a time, in their order."""
    slots = asyncio.Semaphore(CONCURRENT_CALLS)

    async def one(item: T) -> R:
        async with slots:
            return await work(item)

    return await asyncio.gather(*(one(item) for item in items))
