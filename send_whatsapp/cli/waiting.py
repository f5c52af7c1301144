"""Waits for the end of a send, and shows what it is waiting for meanwhile."""

import asyncio
import sys
from contextlib import suppress
from typing import Final

from rich.markup import escape
from rich.status import Status

from send_whatsapp.cli.run import Session
from send_whatsapp.client.errors import NotFound
from send_whatsapp.client.state import State, describe, get_state
from send_whatsapp.temporal.connection import TemporalUnavailable
from send_whatsapp.temporal.task_queue import no_worker

REFRESH_S: Final = 2.0


async def wait_for_end(session: Session, state: State, timeout_s: float) -> State:
    """Return the state of a send once it is closed, or after `timeout_s` seconds.

    Prints its progress on standard error. Raises TemporalUnavailable if Temporal stops answering.
    """
    if state.outcome != "running":
        return state
    end = asyncio.create_task(
        get_state(session.client, state.id, run_id=state.run_id, wait=True), name="end"
    )
    progress = asyncio.create_task(_show_progress(session, state), name="progress")
    done, _ = await asyncio.wait([end], timeout=timeout_s)
    progress.cancel()
    end.cancel()
    await asyncio.wait([progress, end])
    if done:
        return end.result()
    return await get_state(session.client, state.id, run_id=state.run_id)


async def _show_progress(session: Session, state: State) -> None:
    """Print what the send waits for: in one line on a terminal, else a line for each change."""
    on_terminal = sys.stderr.isatty()
    with Status("Waiting for the provider's answer.", console=session.output.stderr) as spinner:
        if not on_terminal:
            spinner.stop()
        shown = ""
        # If Temporal does not answer or no longer has the run, `wait_for_end` reports it.
        with suppress(TemporalUnavailable, NotFound):
            while True:
                await asyncio.sleep(REFRESH_S)
                text = await _progress(session, state)
                spinner.update(escape(text))
                if text != shown and not on_terminal:
                    session.output.note(text)
                shown = text


async def _progress(session: Session, state: State) -> str:
    now = await get_state(session.client, state.id, run_id=state.run_id)
    if now.progress is None:
        return f"Ended as {now.outcome}."
    if now.progress.activity is None and (hint := await no_worker_hint(session, state.id)):
        return hint
    return now.progress.summary


async def no_worker_hint(session: Session, workflow_id: str) -> str | None:
    """Return what to do if no worker serves the task queue of a run; None if one does."""
    described = await describe(session.client, session.client.get_workflow_handle(workflow_id))
    if not await no_worker(session.client, described.task_queue):
        return None
    return f"No worker serves task queue {described.task_queue}: start one with `make worker`."
