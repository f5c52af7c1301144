"""What every activity shares: the provider's client, one deadline, and what must stay private."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError

from cgb.client import Budget, CGBClient
from contract.errors import ErrorType, delivery_unknown, failure, utc

T = TypeVar("T")

logger = logging.getLogger(__name__)

START_TO_CLOSE_MARGIN_S = 3.0
"""Start-to-close is the deadline plus this, so that our own deadline speaks first."""


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

    async def do(self, key: str, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what `call` returns, or raise what it raises; it goes on if a waiter leaves."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(call())
            task.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(task)

    def _landed(self, key: str, task: asyncio.Task[T]) -> None:
        self._tasks.pop(key, None)
        # Looked at here, so that asyncio does not complain where every waiter has left.
        if not task.cancelled():
            task.exception()


@contextmanager
def no_surprises(*, sending: bool = False) -> Iterator[None]:
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
