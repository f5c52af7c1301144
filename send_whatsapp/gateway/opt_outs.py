"""The routes of opt-outs: remember that a person does not want messages, or does again."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from temporalio.client import Client
from temporalio.service import RPCError

from send_whatsapp.client.links import ui_link
from send_whatsapp.client.opt_outs import OptOutHandle, opt_out_result, start_opt_out
from send_whatsapp.client.origin import Origin
from send_whatsapp.contract import names
from send_whatsapp.contract.errors import FieldProblem
from send_whatsapp.contract.opt_out import SetOptOutRequest, SetOptOutResult
from send_whatsapp.contract.phone import InvalidPhoneNumber, to_e164
from send_whatsapp.contract.result import SendError
from send_whatsapp.gateway import time_limits
from send_whatsapp.gateway.access import Caller
from send_whatsapp.gateway.audit import log_command
from send_whatsapp.gateway.body import typed_body
from send_whatsapp.gateway.disconnect import while_connected
from send_whatsapp.gateway.headers import preferred_wait_s
from send_whatsapp.gateway.openapi import operations
from send_whatsapp.gateway.openapi.parameters import PhoneNumber
from send_whatsapp.gateway.openapi.schemas import OptOutBody
from send_whatsapp.gateway.places import Places
from send_whatsapp.gateway.problems import invalid_fields
from send_whatsapp.settings import GatewaySettings
from send_whatsapp.temporal.clock import TemporalClock
from send_whatsapp.temporal.connection import TemporalUnavailable, rpc


class OptOutRoutes:
    """The routes under /v1/opt-outs."""

    def __init__(
        self, client: Client, settings: GatewaySettings, clock: TemporalClock, waits: Places
    ) -> None:
        self._client = client
        self._settings = settings
        self._clock = clock
        self._waits = waits

    def add_to(self, app: FastAPI) -> None:
        """Serve the routes."""
        app.post("/v1/opt-outs", **operations.POST_OPT_OUT)(self.post)
        app.delete("/v1/opt-outs/{number}", **operations.DELETE_OPT_OUT)(self.delete)

    async def post(self, request: Request) -> Response:
        """Start to add the tag for opt-outs. With `Prefer: wait=N`, wait for the end."""
        body = await typed_body(request, OptOutBody)
        return await self._change(request, body.to, opted_out=True)

    async def delete(self, request: Request, number: PhoneNumber) -> Response:
        """Start to remove the tag for opt-outs. With `Prefer: wait=N`, wait for the end."""
        return await self._change(request, number, opted_out=False)

    async def _change(self, request: Request, to: str, *, opted_out: bool) -> Response:
        wait_s = preferred_wait_s(request.headers)
        try:
            number = to_e164(to, self._settings.default_region)
        except InvalidPhoneNumber as error:
            problem = FieldProblem(field="to", problem="is not a phone number", expected=str(error))
            raise invalid_fields("The request is invalid", [problem]) from None
        caller: Caller = request.state.access
        run = await self._start(SetOptOutRequest(to=number, opted_out=opted_out), caller)
        log_command("opt-out" if opted_out else "opt-in", caller.name, run.result_run_id or "")
        end = await self._wait_in_place(request, run, wait_s) if wait_s else None
        body: dict[str, Any] = {
            "id": run.id,
            "status": "running",
            "optedOut": opted_out,
            "uiUrl": ui_link(self._settings.ui_url, self._client.namespace, run.id),
        }
        if isinstance(end, SetOptOutResult):
            body |= {"status": "done", "result": end.model_dump(mode="json", by_alias=True)}
        elif end is not None:
            body |= {"status": "failed", "error": end.model_dump(mode="json")}
        return JSONResponse(body, 202 if end is None else 200)

    async def _start(self, request: SetOptOutRequest, caller: Caller) -> OptOutHandle:
        """Start the change. A run that Temporal starts after the answer 503 changes nothing."""
        async with rpc(self._client, time_limits.TEMPORAL_S):
            now = await self._clock.known_now(time_limits.CLOCK_S) or datetime.now(UTC)
            before = now + timedelta(seconds=time_limits.TEMPORAL_S)
            memo = {names.START_BEFORE_MEMO: before.isoformat()}
            memo |= Origin(caller=caller.owner).memo()
            queue = self._settings.task_queue
            try:
                return await start_opt_out(self._client, request, task_queue=queue, memo=memo)
            except RPCError as error:
                raise TemporalUnavailable(f"Temporal failed ({error.status.name})") from None

    async def _wait_in_place(
        self, request: Request, run: OptOutHandle, seconds: float
    ) -> SetOptOutResult | SendError | None:
        """Return the end of the run; None if it does not end in time, or waits have no place."""
        place = self._waits.take(request.state.caller)
        if place is None:
            return None
        with place:
            request.state.place.leave()
            closed = asyncio.create_task(opt_out_result(self._client, run))
            try:
                await while_connected(request, asyncio.wait({closed}, timeout=seconds))
                return closed.result() if closed.done() else None
            except TemporalUnavailable:
                return None
            finally:
                closed.cancel()
