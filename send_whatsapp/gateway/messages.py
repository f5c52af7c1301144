"""The routes of single messages: start a send, read its state, cancel it."""

import asyncio
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from temporalio.client import Client

from send_whatsapp.client.links import ui_link
from send_whatsapp.client.origin import Origin
from send_whatsapp.client.sends import request_cancel
from send_whatsapp.client.state import State, get_state
from send_whatsapp.contract import names
from send_whatsapp.contract.errors import FieldProblem
from send_whatsapp.contract.names import InvalidKey
from send_whatsapp.contract.phone import InvalidPhoneNumber
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.gateway import time_limits
from send_whatsapp.gateway.access import Caller
from send_whatsapp.gateway.audit import log_command
from send_whatsapp.gateway.body import typed_body
from send_whatsapp.gateway.disconnect import while_connected
from send_whatsapp.gateway.headers import idempotency_key, preferred_wait_s
from send_whatsapp.gateway.openapi import operations
from send_whatsapp.gateway.openapi.parameters import MessageId
from send_whatsapp.gateway.places import Places
from send_whatsapp.gateway.problems import Problem, invalid_fields
from send_whatsapp.gateway.starts import SendStarter
from send_whatsapp.settings import GatewaySettings
from send_whatsapp.temporal.connection import TemporalUnavailable, rpc


class MessageRoutes:
    """The routes under /v1/messages."""

    def __init__(
        self,
        client: Client,
        settings: GatewaySettings,
        starter: SendStarter,
        waits: Places,
        stopping: asyncio.Event,
    ) -> None:
        """Serve with this client; when `stopping` is set, all waits for runs end.

        `waits` are the places of requests that wait for the end of a run.
        """
        self._client = client
        self._ui_url = settings.ui_url
        self._region = settings.default_region
        self._starter = starter
        self._waits = waits
        self._stopping = stopping

    def add_to(self, app: FastAPI) -> None:
        """Serve the routes."""
        app.post("/v1/messages", **operations.POST_MESSAGE)(self.post)
        app.get("/v1/messages/{id:path}", **operations.GET_MESSAGE)(self.get)
        app.delete("/v1/messages/{id:path}", **operations.DELETE_MESSAGE)(self.delete)

    async def post(self, request: Request) -> Response:
        """Start a send. With `Prefer: wait=N`, wait until its run is closed, at most N seconds."""
        key = idempotency_key(request.headers)
        try:
            workflow_id = names.workflow_id(key) if key is not None else None
        except InvalidKey as error:
            raise Problem(400, f"Idempotency-Key: {error}") from None
        send_request = await typed_body(request, SendWhatsAppRequest)
        return await self.send(request, send_request, workflow_id, request.state.access.origin)

    async def get(self, request: Request, id: MessageId) -> Response:
        """Return the state of a message, with `result` once its run is closed."""
        async with rpc(self._client, time_limits.TEMPORAL_S):
            return self._message(await self._visible_state(request, id), 200)

    async def delete(self, request: Request, id: MessageId) -> Response:
        """Cancel a message.

        200: nothing was sent. 202: not known yet. 409: the message can no longer be cancelled.
        """
        async with rpc(self._client, time_limits.TEMPORAL_S):
            state = await self._visible_state(request, id)
            if running := state.outcome == "running":
                await request_cancel(self._client, state)
                log_command("cancel", request.state.caller, state.run_id)
        if running:
            state = await self._wait_until_closed(request, state, time_limits.CANCEL_WAIT_S)
        match state.outcome:
            case "cancelled":
                return self._message(state, 200)
            case "running":
                return self._message(state, 202)
        title = "The message can no longer be cancelled"
        raise Problem(409, title, id=state.id, messageStatus=state.outcome)

    async def send(
        self,
        request: Request,
        send_request: SendWhatsAppRequest,
        workflow_id: str | None,
        origin: Origin,
    ) -> Response:
        """Start this send and answer the HTTP request.

        Raises Problem: 422 if `to` is not a phone number, 403 for content that the caller may not
        send; and what `SendStarter.start` raises.
        """
        request.state.access.check_content(send_request)
        wait_s = preferred_wait_s(request.headers)
        try:
            # The worker's region may differ, so the number is handed over in E.164.
            checked = send_request.in_e164(self._region)
        except InvalidPhoneNumber as error:
            problem = FieldProblem(field="to", problem="is not a phone number", expected=str(error))
            raise invalid_fields("The request is invalid", [problem]) from None
        state = await self._starter.start(checked, workflow_id, request.state.caller, origin)
        if wait_s and state.outcome == "running":
            state = await self._wait_in_place(request, state, wait_s)
        closed = wait_s is not None and state.outcome != "running"
        response = self._message(state, 200 if closed else 202, with_result=closed)
        response.headers["Location"] = _path(state.id)
        return response

    async def _visible_state(self, request: Request, id_: str) -> State:
        """Return the state of a message. Raises NotFound for one that the caller does not see."""
        state = await get_state(self._client, id_)
        caller: Caller = request.state.access
        caller.check_sees(state.origin.caller)
        return state

    async def _wait_in_place(self, request: Request, state: State, seconds: float) -> State:
        """Wait in a place for waits, so that the caller's other requests have theirs.

        Without such a place, return `state` at once: the run was started in any case.
        """
        place = self._waits.take(request.state.caller)
        if place is None:
            return state
        with place:
            request.state.place.leave()
            return await self._wait_until_closed(request, state, seconds)

    async def _wait_until_closed(self, request: Request, state: State, seconds: float) -> State:
        """Return the state once the run is closed; otherwise return `state` after `seconds`.

        The wait also ends when the client goes, when the gateway stops, and when Temporal stops
        answering. The run was started in any case, so `running` is a correct answer and 503 would
        not be. Raises ClientGone.
        """
        closed = asyncio.create_task(
            get_state(self._client, state.id, run_id=state.run_id, wait=True)
        )
        stopping = asyncio.create_task(self._stopping.wait())
        work = asyncio.wait({closed, stopping}, timeout=seconds, return_when="FIRST_COMPLETED")
        try:
            await while_connected(request, work)
            return closed.result() if closed.done() else state
        except TemporalUnavailable:
            return state
        finally:
            closed.cancel()
            stopping.cancel()

    def _message(self, state: State, status: int, *, with_result: bool = True) -> JSONResponse:
        body: dict[str, Any] = {
            "id": state.id,
            "status": state.outcome,
            "statusUrl": _path(state.id),
            "uiUrl": ui_link(self._ui_url, self._client.namespace, state.id, state.run_id),
        }
        if with_result and state.result:
            body["result"] = state.result.model_dump(mode="json", by_alias=True)
        return JSONResponse(body, status)


def _path(workflow_id: str) -> str:
    return f"/v1/messages/{quote(workflow_id, safe='')}"
