"""Starts a send for an HTTP caller, so that the caller can rely on a 503.

docs/gateway.md, "What 503 means", has the guarantees; time_limits.py shows how the limits nest.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from send_whatsapp.client.errors import KeyConflict, KeyInUse, OutcomeUnknown
from send_whatsapp.client.origin import Origin
from send_whatsapp.client.sends import start_send
from send_whatsapp.client.state import State, get_state
from send_whatsapp.contract import names
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.gateway import time_limits
from send_whatsapp.gateway.audit import log_command
from send_whatsapp.gateway.places import Slots
from send_whatsapp.gateway.problems import Problem, key_in_use, unavailable_problem
from send_whatsapp.gateway.readiness import Readiness
from send_whatsapp.gateway.unconfirmed import UnconfirmedStarts
from send_whatsapp.settings import GatewaySettings
from send_whatsapp.temporal.clock import TemporalClock
from send_whatsapp.temporal.connection import TemporalUnavailable, rpc

MAX_CONCURRENT_STARTS = 32
"""Starts at once. If Temporal got more than it can accept in time, it would accept some of them
after their callers were answered 503. Starts that wait here have not been sent to Temporal."""

MAX_STARTS_PER_CALLER = 24


class SendStarter:
    """Starts sends; everything that starts one shares its slots."""

    def __init__(
        self,
        client: Client,
        settings: GatewaySettings,
        clock: TemporalClock,
        readiness: Readiness,
    ) -> None:
        self._client = client
        self._settings = settings
        self._clock = clock
        self._readiness = readiness
        self._slots = Slots(MAX_CONCURRENT_STARTS, MAX_STARTS_PER_CALLER)
        self._unconfirmed = UnconfirmedStarts(client)

    async def start(
        self, request: SendWhatsAppRequest, workflow_id: str | None, caller: str, origin: Origin
    ) -> State:
        """Start the send and return its state, or the state of the run that the id already has.

        Without an id it gets a random one. The request takes the place of `caller`, and the run is
        that of `origin`. Raises TemporalUnavailable, and Problem: 409 if the id belongs to another
        caller, 422 if it belongs to another request or Temporal refuses the request, 503 if too
        many starts wait.
        """
        id_ = workflow_id or names.new_workflow_id()
        async with self._start_slot(caller):
            try:
                state = await self._start_in_two_tries(request, id_, caller, origin)
            except (TemporalUnavailable, RPCError):
                self._readiness.start_failed()
                # A caller with a key finds the run again, perhaps through another gateway.
                if workflow_id is None:
                    self._unconfirmed.add(id_)
                raise
        self._readiness.start_succeeded()
        return state

    @asynccontextmanager
    async def _start_slot(self, caller: str) -> AsyncIterator[None]:
        async with AsyncExitStack() as slot:
            try:
                async with asyncio.timeout(time_limits.START_SLOT_S):
                    await slot.enter_async_context(self._slots.slot(caller))
            except TimeoutError:
                raise unavailable_problem(
                    "Too many requests at once", time_limits.RETRY_AFTER_NO_START_SLOT_S
                ) from None
            yield

    async def _start_in_two_tries(
        self, request: SendWhatsAppRequest, workflow_id: str, caller: str, origin: Origin
    ) -> State:
        """Start, and try once more if no answer arrives.

        If the first try did start the run and only its answer was lost, the second finds the run.
        A run that Temporal accepts after `start_before` ends without sending. The deadline is a
        time on Temporal's clock, because Temporal compares it with the start of the run.
        """
        began = time.monotonic()
        async with rpc(self._client, time_limits.TEMPORAL_S):
            measured = await self._clock.known_now(time_limits.CLOCK_S)
            now = measured or datetime.now(UTC)
            left_s = time_limits.TEMPORAL_S - (time.monotonic() - began)
            start_before = now + timedelta(seconds=left_s)

            async def start() -> State:
                return await self._start_once(
                    request, workflow_id, caller, origin, now, start_before
                )

            try:
                async with rpc(self._client, time_limits.FIRST_TRY_S):
                    state = await start()
            except TemporalUnavailable:
                state = await start()
            is_late = time.monotonic() - began > time_limits.START_IS_LATE_S
            if state.outcome == "running" and (measured is None or is_late):
                await self._check_started_before(state, start_before)
        return state

    async def _check_started_before(self, state: State, start_before: datetime) -> None:
        """Raise TemporalUnavailable for a run that will end as expired."""
        started = await get_state(self._client, state.id, run_id=state.run_id)
        if started.started_at > start_before:
            raise TemporalUnavailable("Temporal accepted the start too late")

    async def _start_once(
        self,
        request: SendWhatsAppRequest,
        workflow_id: str,
        caller: str,
        origin: Origin,
        now: datetime,
        start_before: datetime,
    ) -> State:
        try:
            started = await start_send(
                self._client,
                request,
                workflow_id=workflow_id,
                task_queue=self._settings.task_queue,
                region=self._settings.default_region,
                memo={names.START_BEFORE_MEMO: start_before.isoformat()},
                now=now,
                origin=origin,
            )
        except OutcomeUnknown:
            return await get_state(self._client, workflow_id)
        except KeyInUse:
            raise key_in_use() from None
        except KeyConflict:
            raise Problem(422, "The Idempotency-Key belongs to another request") from None
        except RPCError as error:
            if error.status == RPCStatusCode.INVALID_ARGUMENT:
                raise Problem(422, "Temporal cannot start this request: check its times") from None
            # Temporal may have started the run before it failed.
            raise TemporalUnavailable(f"Temporal failed ({error.status.name})") from None
        if started.existing:
            return await get_state(self._client, started.id, run_id=started.run_id)
        if started.again:
            log_command("resend", caller, started.run_id)
        return State.just_started(started)
