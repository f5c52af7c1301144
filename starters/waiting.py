"""Waiting for a run in a terminal: progress, and a word where no worker serves the queue."""

import asyncio
import sys

from rich.status import Status
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from starters.client import State, get_state
from starters.display import err

LOOK_FOR_WORKERS_AFTER_S = 3.0


async def wait_for_end(client: Client, state: State, timeout_s: float, task_queue: str) -> State:
    """Return how the run stands when it is closed, or when the time is up.

    Raises TemporalUnavailable where the server goes away for good.
    """
    if state.outcome != "running":
        return state
    waiting = asyncio.create_task(
        get_state(client, state.id, run_id=state.run_id, wait=True), name="wait"
    )
    with Status("waiting for the provider's answer", console=err) as spinner:
        if not sys.stderr.isatty():
            spinner.stop()
        first = min(LOOK_FOR_WORKERS_AFTER_S, timeout_s)
        done, _ = await asyncio.wait([waiting], timeout=first)
        if not done and await no_worker(client, task_queue):
            said = f"No worker serves task queue {task_queue}: start one with `make worker`."
            err.print(said, markup=False)
            spinner.update(f"waiting for a worker on task queue {task_queue}")
        if not done:
            done, _ = await asyncio.wait([waiting], timeout=max(timeout_s - first, 0))
    if done:
        return waiting.result()
    waiting.cancel()
    await asyncio.wait([waiting])
    return await get_state(client, state.id, run_id=state.run_id)


async def no_worker(client: Client, task_queue: str) -> bool:
    """Return whether nobody polls the queue for workflow tasks."""
    try:
        described = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=client.namespace,
                task_queue=TaskQueue(name=task_queue),
                task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
            )
        )
    except RPCError:
        return False
    return not described.pollers
