"""What every activity shares: the provider's client, one deadline, and what must stay private."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from cachetools import TTLCache
from temporalio import activity
from temporalio.exceptions import ApplicationError

from send_whatsapp.cgb.client import Budget, CGBClient
from send_whatsapp.contract.errors import ErrorType, delivery_unknown, failure, utc

T = TypeVar("T")

logger = logging.getLogger(__name__)

START_TO_CLOSE_MARGIN_S = 3.0
"""Start-to-close is the deadline plus this, so that our own deadline speaks first."""

LEFT_FOR_S = 30.0
"""The time for which a lookup that was begun in passing waits for the activity that takes it on."""


@dataclass(frozen=True)
class Provider:
    """The client, the key that no message may show, and the seconds that calls may take."""

    client: CGBClient
    key: str
    timeout_s: float
    on_rate_limit: Callable[[], None] = lambda: None

    def budget(self) -> Budget:
        """Return what the current attempt may spend."""
        info = activity.info()
        seconds = self.timeout_s
        if info.start_to_close_timeout and not info.is_local:
            # A run keeps the timeouts it began with, also when the setting has grown since.
            allowed = info.start_to_close_timeout.total_seconds() - START_TO_CLOSE_MARGIN_S
            seconds = min(seconds, max(allowed, 0.1))
        return Budget.of(seconds, info.workflow_run_id or "", info.attempt)

    def failed(self, failure: ApplicationError) -> ApplicationError:
        """Return the failure of an attempt; tell where a rate limit makes its activity wait."""
        info = activity.info()
        last = info.retry_policy and 0 < info.retry_policy.maximum_attempts <= info.attempt
        if failure.type == ErrorType.RATE_LIMITED and not last:
            self.on_rate_limit()
        return failure


class SingleFlight(Generic[T]):
    """Concurrent calls for one key share one call and its outcome."""

    def __init__(self) -> None:
        """Begin with nothing in flight."""
        self._tasks: dict[str, asyncio.Task[T]] = {}
        self._left: TTLCache[str, asyncio.Task[T]] = TTLCache(10_000, LEFT_FOR_S)

    async def do(self, key: str, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what `call` returns, or raise what it raises; it goes on if a waiter leaves.

        A call that this run has begun in passing, also one that has failed, counts as this one.
        """
        left = self._left.pop(_of_this_run(key), None)
        return await asyncio.shield(left or self._start(key, call))

    async def in_passing(
        self, key: str, call: Callable[[], Coroutine[Any, Any, T]], within_s: float | None
    ) -> T | None:
        """Return what `call` returns where it succeeds within so many seconds, else None.

        Then the call and its outcome are left to the run's next `do`, whose attempt it is: it is
        told, counted and tried again there, and not asked twice.
        """
        task = self._start(key, call)
        await asyncio.wait({task}, timeout=within_s)
        if task.done() and not task.cancelled() and task.exception() is None:
            return task.result()
        self._left[_of_this_run(key)] = task
        return None

    def _start(self, key: str, call: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(call())
            task.add_done_callback(lambda done: self._landed(key, done))
        return task

    def _landed(self, key: str, task: asyncio.Task[T]) -> None:
        self._tasks.pop(key, None)
        # Looked at here, so that asyncio does not complain where every waiter has left.
        if not task.cancelled():
            task.exception()


def _of_this_run(key: str) -> str:
    return f"{activity.info().workflow_run_id} {key}"


@contextmanager
def map_unexpected_errors(*, sending: bool = False) -> Iterator[None]:
    """Turn a defect of ours into a failure that names no data; failures pass as they are."""
    try:
        yield
    except ApplicationError:
        raise
    except Exception as error:
        logger.exception("defect in an activity")
        if sending:
            since = utc(activity.info().scheduled_time)
            raise delivery_unknown(f"defect of the worker, {type(error).__name__}", since) from None
        raise failure(
            ErrorType.PROVIDER_CONTRACT,
            f"This is a defect of the worker ({type(error).__name__}), nothing was sent: report it"
            " with the worker's log of this run",
        ) from None
