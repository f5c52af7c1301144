"""Waiting for a run in a terminal: progress, and a word where no worker serves the queue."""

import asyncio
import sys
from contextlib import suppress

from rich.markup import escape
from rich.status import Status
from temporalio.client import Client

from send_whatsapp.cli.output import err
from send_whatsapp.client.errors import NotFound
from send_whatsapp.client.state import State, get_state
from send_whatsapp.temporal.connection import TemporalUnavailable
from send_whatsapp.temporal.task_queue import no_worker

LOOK_EVERY_S = 2.0


async def wait_for_end(client: Client, state: State, timeout_s: float, task_queue: str) -> State:
    """Return how the run stands when it is closed, or when the time is up.

    Meanwhile standard error tells what it waits for. Raises TemporalUnavailable where the server
    goes away for good.
    """
    if state.outcome != "running":
        return state
    waiting = asyncio.create_task(
        get_state(client, state.id, run_id=state.run_id, wait=True), name="wait"
    )
    telling = asyncio.create_task(_tell(client, state, task_queue), name="tell")
    done, _ = await asyncio.wait([waiting], timeout=timeout_s)
    telling.cancel()
    waiting.cancel()
    await asyncio.wait([telling, waiting])
    if done:
        return waiting.result()
    return await get_state(client, state.id, run_id=state.run_id)


async def _tell(client: Client, state: State, task_queue: str) -> None:
    """Say what the run waits for whenever that changes: in place on a terminal, else in lines."""
    with Status("waits for the provider's answer", console=err) as spinner:
        if not sys.stderr.isatty():
            spinner.stop()
        said = ""
        # Where Temporal does not answer, or has forgotten the run, the wait itself finds out.
        with suppress(TemporalUnavailable, NotFound):
            while True:
                await asyncio.sleep(LOOK_EVERY_S)
                before, said = said, await _waits_for(client, state, task_queue)
                spinner.update(escape(said))
                if said != before and not sys.stderr.isatty():
                    err.print(said, markup=False)


async def _waits_for(client: Client, state: State, task_queue: str) -> str:
    now = await get_state(client, state.id, run_id=state.run_id)
    if now.progress is None:
        return f"ended as {now.outcome}"
    if now.progress.activity is None and await no_worker(client, task_queue):
        return f"No worker serves task queue {task_queue}: start one with `make worker`."
    return f"waits {now.progress.said}"
