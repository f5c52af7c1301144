"""Starts that were answered 503 although Temporal may have accepted them."""

import asyncio
import logging

from temporalio.client import Client

from send_whatsapp.client.errors import NotFound
from send_whatsapp.client.sends import request_cancel
from send_whatsapp.client.state import get_state
from send_whatsapp.gateway import time_limits
from send_whatsapp.temporal.connection import TemporalUnavailable

logger = logging.getLogger(__name__)

MAX_UNCONFIRMED = 1000


class UnconfirmedStarts:
    """Cancels such runs as soon as Temporal answers again (docs/gateway.md, "What 503 means")."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._ids: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def add(self, workflow_id: str) -> None:
        """Remember a start that got no answer.

        At most MAX_UNCONFIRMED are kept, the first ones: during a long outage, Temporal cannot
        have accepted the later ones.
        """
        if len(self._ids) < MAX_UNCONFIRMED:
            self._ids.add(workflow_id)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._cancel_all())

    async def _cancel_all(self) -> None:
        while self._ids:
            await asyncio.sleep(time_limits.UNCONFIRMED_CHECK_S)
            try:
                for workflow_id in list(self._ids):
                    await self._cancel(workflow_id)
                    self._ids.discard(workflow_id)
            except TemporalUnavailable:
                continue

    async def _cancel(self, workflow_id: str) -> None:
        try:
            state = await get_state(self._client, workflow_id)
        except NotFound:
            return
        if state.outcome == "running":
            await request_cancel(self._client, state)
            logger.warning(
                "cancelled a run whose start was answered 503", extra={"run_id": state.run_id}
            )
