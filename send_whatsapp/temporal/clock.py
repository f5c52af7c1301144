"""Temporal's clock, and how far the clock of this machine differs from it."""

import asyncio
import logging
import time
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from temporalio.api.enums.v1 import TaskQueueKind, TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    PollWorkflowTaskQueueRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError

from send_whatsapp.temporal.connection import RPC_TIMEOUT_S, TemporalUnavailable, rpc

logger = logging.getLogger(__name__)

MAX_DIFFERENCE_S: Final = 3.0
"""Seconds by which the clocks may differ without a warning."""

_PRECISE_S: Final = 0.25
_USABLE_S: Final = 1.0
_TRIES: Final = 3
_LOOK_AGAIN_S: Final = 0.02
_UNKNOWN_S: Final = 2.0

# Nothing is ever put into this queue. It is sticky, because a sticky queue has only one partition:
# whoever describes it sees every poll. Both names must differ, or the server blocks.
_QUEUE: Final = TaskQueue(
    name="send-whatsapp-clock-sticky",
    kind=TaskQueueKind.TASK_QUEUE_KIND_STICKY,
    normal_name="send-whatsapp-clock",
)


class _Reading(NamedTuple):
    """Temporal's time minus that of our steady clock, and how wrong this may be, in seconds."""

    offset_s: float
    error_s: float


class TemporalClock:
    """Temporal's time: measured once, then continued by a clock of this machine that nobody sets.

    No call returns the server's time. But the server notes when a task queue was polled last: we
    poll a queue that has no tasks, and read when the server noted that.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._reading: _Reading | None = None
        self._tried = asyncio.Event()

    def now(self) -> datetime | None:
        """Return Temporal's time; None if it was never measured."""
        if self._reading is None:
            return None
        return datetime.fromtimestamp(_steady_s() + self._reading.offset_s, UTC)

    async def known_now(self, within_s: float) -> datetime | None:
        """Return Temporal's time, or None if it is unknown.

        While `follow` measures for the first time, this waits for it, `within_s` seconds at most.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(self._tried.wait(), within_s)
        return self.now()

    def warning(self) -> str | None:
        """Return a sentence if the clocks differ by more than MAX_DIFFERENCE_S, otherwise None."""
        now = self.now()
        ahead_s = (datetime.now(UTC) - now).total_seconds() if now else 0.0
        if abs(ahead_s) <= MAX_DIFFERENCE_S:
            return None
        side = "ahead of" if ahead_s > 0 else "behind"
        return (
            f"The clock of this machine is {abs(ahead_s):,.1f} s {side} Temporal's clock: set both"
            " by NTP"
        )

    async def measure(self) -> None:
        """Compare the clocks. Raises TemporalUnavailable, also if the server refuses the poll."""
        readings: list[_Reading] = []
        try:
            async with rpc(self._client):
                while len(readings) < _TRIES:
                    readings.append(await self._read())
                    if readings[-1].error_s <= _PRECISE_S:
                        break
        except RPCError as error:
            raise TemporalUnavailable(
                f"Temporal's clock cannot be read ({error.status.name})"
            ) from None
        except TemporalUnavailable:
            if not readings:
                raise
        best = min(readings, key=lambda reading: reading.error_s)
        if best.error_s > _USABLE_S:
            raise TemporalUnavailable("Temporal answers too slowly to read its clock")
        self._reading = best

    async def follow(self, every_s: float) -> None:
        """Measure again every `every_s` seconds, and log a warning while the clocks differ."""
        while True:
            with suppress(TemporalUnavailable):
                await self.measure()
            self._tried.set()
            if warning := self.warning():
                logger.warning(warning)
            await asyncio.sleep(every_s if self._reading else min(every_s, _UNKNOWN_S))

    async def _read(self) -> _Reading:
        identity = f"clock-{uuid.uuid4()}"
        before = _steady_s()
        polling = asyncio.create_task(self._poll(identity))
        try:
            while True:
                polled_at = await self._polled_at(identity)
                after = _steady_s()
                if polled_at is not None:
                    break
                if polling.done():
                    await polling
                await asyncio.sleep(_LOOK_AGAIN_S)
        finally:
            polling.add_done_callback(lambda task: task.cancelled() or task.exception())
            polling.cancel()
        error_s = (after - before) / 2
        return _Reading(polled_at.timestamp() - (before + error_s), error_s)

    async def _poll(self, identity: str) -> None:
        request = PollWorkflowTaskQueueRequest(
            namespace=self._client.namespace, task_queue=_QUEUE, identity=identity
        )
        service = self._client.workflow_service
        await service.poll_workflow_task_queue(request, timeout=timedelta(seconds=RPC_TIMEOUT_S))

    async def _polled_at(self, identity: str) -> datetime | None:
        request = DescribeTaskQueueRequest(
            namespace=self._client.namespace,
            task_queue=_QUEUE,
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
        described = await self._client.workflow_service.describe_task_queue(request)
        for poller in described.pollers:
            if poller.identity == identity:
                return poller.last_access_time.ToDatetime(UTC)
        return None


def _steady_s() -> float:
    """Return the seconds of a clock that nobody sets and that goes on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
