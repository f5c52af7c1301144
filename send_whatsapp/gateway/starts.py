"""Starts a send for an HTTP caller, so that the caller can rely on a 503.

docs/gateway.md, "What 503 means", has the guarantees; time_limits.py shows how the limits nest.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from temporalio.client import Client

from send_whatsapp.client.errors import KeyConflict, OutcomeUnknown
from send_whatsapp.client.sends import start_send
from send_whatsapp.client.state import State, get_state
from send_whatsapp.contract import names
from send_whatsapp.contract.names import InvalidKey
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.gateway import time_limits
from send_whatsapp.gateway.problems import Problem, unavailable_problem
from send_whatsapp.gateway.unconfirmed import UnconfirmedStarts
from send_whatsapp.temporal.connection import TemporalUnavailable, rpc

MAX_CONCURRENT_STARTS = 32
"""Starts at once. If Temporal got more than it can accept in time, it would accept some of them
after their callers were answered 503. Starts that wait here have not been sent to Temporal."""


class SendStarter:
    """Starts sends; everything that starts one shares its slots."""

    def __init__(self, client: Client, task_queue: str, region: str) -> None:
        self._client = client
        self._task_queue = task_queue
        self._region = region
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_STARTS)
        self._unconfirmed = UnconfirmedStarts(client)

    async def start(self, request: SendWhatsAppRequest, key: str | None) -> State:
        """Start the send and return its state, or the state of the run that the key already has.

        Raises TemporalUnavailable, and Problem: 400 for an invalid key, 422 if the key belongs to
        another request, 503 if too many starts wait.
        """
        workflow_id = names.new_workflow_id() if key is None else key
        async with self._start_slot():
            try:
                return await self._start_in_two_tries(request, workflow_id)
            except TemporalUnavailable:
                # A caller with a key finds the run again, perhaps through another gateway.
                if key is None:
                    self._unconfirmed.add(workflow_id)
                raise

    @asynccontextmanager
    async def _start_slot(self) -> AsyncIterator[None]:
        try:
            await asyncio.wait_for(self._slots.acquire(), time_limits.START_SLOT_S)
        except TimeoutError:
            raise unavailable_problem(
                "Too many requests at once", time_limits.RETRY_AFTER_NO_START_SLOT_S
            ) from None
        try:
            yield
        finally:
            self._slots.release()

    async def _start_in_two_tries(self, request: SendWhatsAppRequest, workflow_id: str) -> State:
        """Start, and try once more if no answer arrives.

        If the first try did start the run and only its answer was lost, the second finds the run.
        A run that Temporal accepts after `start_before` ends without sending.
        """
        start_before = datetime.now(UTC) + timedelta(seconds=time_limits.TEMPORAL_S)
        async with rpc(self._client, time_limits.TEMPORAL_S):
            try:
                async with rpc(self._client, time_limits.FIRST_TRY_S):
                    return await self._start_once(request, workflow_id, start_before)
            except TemporalUnavailable:
                return await self._start_once(request, workflow_id, start_before)

    async def _start_once(
        self, request: SendWhatsAppRequest, workflow_id: str, start_before: datetime
    ) -> State:
        try:
            started = await start_send(
                self._client,
                request,
                key=workflow_id,
                task_queue=self._task_queue,
                region=self._region,
                memo={names.START_BEFORE_MEMO: start_before.isoformat()},
            )
        except InvalidKey as error:
            raise Problem(400, f"Idempotency-Key: {error}") from None
        except OutcomeUnknown:
            return await get_state(self._client, workflow_id)
        except KeyConflict:
            raise Problem(422, "The Idempotency-Key belongs to another request") from None
        if started.existing:
            return await get_state(self._client, started.id, run_id=started.run_id)
        return State.just_started(started)
