"""Starts that Temporal may have taken although their callers were answered 503."""

import asyncio
import logging

from temporalio.client import Client

from send_whatsapp.client import sends
from send_whatsapp.client.errors import NotFound
from send_whatsapp.client.state import get_state
from send_whatsapp.temporal.connection import TemporalUnavailable

logger = logging.getLogger(__name__)

ASK_EVERY_S = 0.25
MAX_KEPT = 1000


class UnconfirmedStarts:
    """Cancels such runs as soon as Temporal can be asked (docs/gateway.md: "What 503 means")."""

    def __init__(self, client: Client) -> None:
        """Ask with this client."""
        self._client = client
        self._ids: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def add(self, workflow_id: str) -> None:
        """Remember a start without an answer.

        While Temporal is away for long nothing can be taken any more, so the first are kept.
        """
        if len(self._ids) < MAX_KEPT:
            self._ids.add(workflow_id)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._settle())

    async def _settle(self) -> None:
        while self._ids:
            await asyncio.sleep(ASK_EVERY_S)
            try:
                for workflow_id in list(self._ids):
                    await self._end(workflow_id)
                    self._ids.discard(workflow_id)
            except TemporalUnavailable:
                continue

    async def _end(self, workflow_id: str) -> None:
        try:
            state = await get_state(self._client, workflow_id)
        except NotFound:
            return
        if state.outcome == "running":
            await sends.request_cancel(self._client, state)
            logger.warning(
                "cancelled a run whose start was answered 503", extra={"run_id": state.run_id}
            )
