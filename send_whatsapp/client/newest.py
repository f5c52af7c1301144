"""The newest runs that match a query: the server does not list runs by the time they started."""

import heapq
from collections.abc import Awaitable, Callable
from datetime import datetime
from itertools import count
from typing import TypeVar

from temporalio.client import Client, WorkflowExecution

T = TypeVar("T")


async def newest(
    client: Client,
    query: str,
    limit: int,
    listed: Callable[[WorkflowExecution], Awaitable[T | None]],
) -> list[T]:
    """Return what `listed` makes of the `limit` runs that started last, newest first.

    Runs for which it returns None do not count. Raises RPCError.
    """
    # The server lists open runs by the time they started, and closed ones by the time they closed.
    # A run closes after it starts, so nothing newer follows a run that closed before all of `found`
    # started.
    order = count()
    found: list[tuple[datetime, int, T]] = []
    async for run in client.list_workflows(f"{query} AND ExecutionStatus = 'Running'"):
        if (item := await listed(run)) is not None:
            heapq.heappush(found, (run.start_time, -next(order), item))
        if len(found) == limit:
            break
    async for run in client.list_workflows(f"{query} AND ExecutionStatus != 'Running'"):
        if len(found) == limit:
            oldest = found[0][0]
            if run.close_time and run.close_time < oldest:
                break
            if run.start_time <= oldest:
                continue
        if (item := await listed(run)) is not None:
            heapq.heappush(found, (run.start_time, -next(order), item))
        if len(found) > limit:
            heapq.heappop(found)
    return [item for _, _, item in sorted(found, reverse=True)]
