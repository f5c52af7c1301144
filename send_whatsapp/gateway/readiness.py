"""Whether a message could be started now: what `/readyz` answers."""

import asyncio
import logging
import time

from temporalio.api.workflowservice.v1 import StartWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from send_whatsapp.gateway import time_limits
from send_whatsapp.gateway.log_limit import LogLimit
from send_whatsapp.gateway.problems import unavailable_problem
from send_whatsapp.temporal.connection import TemporalUnavailable, rpc

logger = logging.getLogger(__name__)


class Readiness:
    """Knows how the last start went, and asks Temporal whether it would take another one."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._failed_until = 0.0
        self._asking: asyncio.Task[str | None] | None = None
        self._log_limit = LogLimit(time_limits.REPEATED_ERROR_S)

    def start_succeeded(self) -> None:
        """Note that Temporal has taken a start."""
        self._failed_until = 0.0

    def start_failed(self) -> None:
        """Note that Temporal has not taken a start, or has not answered."""
        self._failed_until = time.monotonic() + time_limits.START_FAILED_S

    async def check(self) -> None:
        """Raise Problem (503) if a start would fail now, or has just failed."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        # Callers that come meanwhile share the answer: this route needs no token.
        problem = await asyncio.shield(self._asking)
        if problem is None and time.monotonic() < self._failed_until:
            problem = "Temporal did not take the last message"
        if problem is None:
            return
        if self._log_limit.allows():
            logger.error("not ready: %s", problem)
        raise unavailable_problem(
            "Messages cannot be sent now; the log of the gateway says why",
            time_limits.RETRY_AFTER_NO_TEMPORAL_S,
        )

    async def _ask(self) -> str | None:
        """Return why a start would fail; None if it would not.

        Temporal checks the namespace and the permission of a start before its content, and refuses
        one without a workflow id only then.
        """
        nothing = StartWorkflowExecutionRequest(namespace=self._client.namespace)
        try:
            async with rpc(self._client, time_limits.READY_S):
                await self._client.workflow_service.start_workflow_execution(nothing)
        except TemporalUnavailable as error:
            return str(error)
        except RPCError as error:
            if error.status != RPCStatusCode.INVALID_ARGUMENT:
                return f"Temporal refuses to start workflows ({error.status.name})"
        return None
