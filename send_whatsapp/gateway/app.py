"""The HTTP gateway: messages over HTTP for systems that know no Temporal (surfaces: "Gateway")."""

import asyncio
import json
import logging
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError
from temporalio.client import Client
from temporalio.service import RetryConfig

from send_whatsapp.client import sends
from send_whatsapp.client.errors import KeyConflict, OutcomeUnknown
from send_whatsapp.client.links import ui_link
from send_whatsapp.client.state import State, get_state
from send_whatsapp.contract import names
from send_whatsapp.contract.names import InvalidKey
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.contract.validation import problems
from send_whatsapp.gateway import openapi
from send_whatsapp.gateway.batches import BatchRoutes
from send_whatsapp.gateway.middleware import (
    GatewayMiddleware,
    Problem,
    handlers,
    json_body,
    refused,
)
from send_whatsapp.gateway.protocol import ProblemProtocol
from send_whatsapp.gateway.tokens import Rates, Tokens
from send_whatsapp.gateway.unconfirmed import UnconfirmedStarts
from send_whatsapp.gateway.webhooks import Forged, Unusable, Webhook, load
from send_whatsapp.settings import GatewaySettings, SettingsError
from send_whatsapp.telemetry import logs, tracing
from send_whatsapp.temporal.connection import TemporalUnavailable, connect, rpc

logger = logging.getLogger(__name__)

MAX_WAIT_S = 300
CANCEL_WAIT_S = 8.0

ANSWER_WITHIN_S = 6.5
FIRST_TRY_S = 4.0
"""Time for the answer to a request without Temporal, and for the first of two tries to start."""

MAX_STARTS = 32
PLACE_WITHIN_S = 2.5
"""Starts that Temporal is asked for at once, and how long one more waits for its turn.

Asked for more than it can do in time, Temporal would begin runs whose callers were answered 503;
what waits here has not been sent at all.
"""

# One try each: what was answered 503 must not be started by a retry behind our back.
NO_RETRIES = RetryConfig(max_retries=0, max_elapsed_time_millis=1)


class Gateway:
    """The routes, and what they share: a Temporal client and the settings."""

    def __init__(
        self,
        client: Client,
        settings: GatewaySettings,
        webhooks: Mapping[str, Webhook] | None = None,
    ) -> None:
        """Start runs with this client, asked for directly or by these webhooks."""
        self.client = client
        self.settings = settings
        self.webhooks = webhooks or {}
        self.stopping = asyncio.Event()
        self._doubts = UnconfirmedStarts(client)
        self._places = asyncio.Semaphore(MAX_STARTS)

    async def post(self, request: Request) -> Response:
        """Start a send: 202 with its state, or with `Prefer: wait=N` 200 once it is closed."""
        key = _key(request.headers.getlist("idempotency-key"))
        try:
            asked = SendWhatsAppRequest.model_validate_json(json.dumps(await json_body(request)))
        except ValidationError as error:
            raise refused("The request is wrong", problems(error)) from None
        return await self._accept(request, asked, key)

    async def webhook(self, request: Request, name: str) -> Response:
        """Start what a declared webhook makes of a foreign body; 204 where that is nothing."""
        declared = self.webhooks.get(name)
        if declared is None:
            raise Problem(404, "No webhook has this name")
        try:
            declared.verify(request.headers, await request.body(), datetime.now(UTC))
            asked = declared.read(name, await json_body(request))
        except Forged as error:
            raise Problem(401, str(error), {"WWW-Authenticate": "Signature"}) from None
        except Unusable as error:
            raise refused("The webhook's body gives no request", error.problems) from None
        if asked is None:
            return Response(status_code=204)
        return await self._accept(request, asked.request, asked.key)

    async def get(self, id: str) -> Response:
        """Return how a message stands, with `result` once its run is closed."""
        async with self._answers():
            return self._answer(await get_state(self.client, id), 200)

    async def delete(self, id: str) -> Response:
        """Cancel: 200 only where nothing was sent, 202 while unknown, 409 where it is too late."""
        async with self._answers():
            state = await get_state(self.client, id)
            if asked := state.outcome == "running":
                await sends.request_cancel(self.client, state)
        if asked:
            state = await self._closed_within(state, CANCEL_WAIT_S)
        if state.outcome in ("running", "cancelled"):
            return self._answer(state, 200 if state.outcome == "cancelled" else 202)
        raise Problem(409, "It is too late to cancel", id=state.id, messageStatus=state.outcome)

    async def ready(self) -> Response:
        """Return 200 where Temporal answers."""
        async with self._answers(within_s=3):
            await self.client.service_client.check_health()
        return JSONResponse({"status": "ready"})

    def _answers(self, within_s: float = ANSWER_WITHIN_S) -> AbstractAsyncContextManager[None]:
        return rpc(self.client, within_s)

    async def _accept(
        self, request: Request, asked: SendWhatsAppRequest, key: str | None
    ) -> Response:
        wait = _wait(",".join(request.headers.getlist("prefer")))
        async with self._place():
            state = await self._start(asked, key)
        if wait and state.outcome == "running":
            state = await self._closed_within(state, wait)
        closed = wait is not None and state.outcome != "running"
        answer = self._answer(state, 200 if closed else 202, with_result=closed)
        answer.headers["Location"] = _path(state.id)
        return answer

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        try:
            await asyncio.wait_for(self._places.acquire(), PLACE_WITHIN_S)
        except TimeoutError:
            raise Problem(503, "Too many requests at once", {"Retry-After": "2"}) from None
        try:
            yield
        finally:
            self._places.release()

    async def _start(self, asked: SendWhatsAppRequest, key: str | None) -> State:
        """Start, in two tries: the second finds the run that the first began but was not told of.

        A run that Temporal takes after our answer ends without sending, by its `start_before`.
        """
        start_before = datetime.now(UTC) + timedelta(seconds=ANSWER_WITHIN_S)
        workflow_id = names.new_workflow_id() if key is None else key
        try:
            async with self._answers():
                try:
                    async with self._answers(FIRST_TRY_S):
                        return await self._start_once(asked, workflow_id, start_before)
                except TemporalUnavailable:
                    return await self._start_once(asked, workflow_id, start_before)
        except TemporalUnavailable:
            # With a key its caller finds the run again, maybe through another gateway.
            if key is None:
                self._doubts.add(workflow_id)
            raise

    async def _start_once(
        self, asked: SendWhatsAppRequest, key: str, start_before: datetime
    ) -> State:
        try:
            started = await sends.start_send(
                self.client,
                asked,
                key=key,
                task_queue=self.settings.task_queue,
                memo={names.START_BEFORE_MEMO: start_before.isoformat()},
            )
        except InvalidKey as error:
            raise Problem(400, f"Idempotency-Key: {error}") from None
        except OutcomeUnknown:
            return await get_state(self.client, key)
        except KeyConflict:
            raise Problem(422, "The Idempotency-Key belongs to another request") from None
        if started.existing:
            return await get_state(self.client, started.id, run_id=started.run_id)
        return State.just_started(started)

    async def _closed_within(self, state: State, seconds: float) -> State:
        """Return the state once it is closed; as it was when time is up or the gateway stops."""
        closed = asyncio.create_task(
            get_state(self.client, state.id, run_id=state.run_id, wait=True)
        )
        stop = asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait({closed, stop}, timeout=seconds, return_when="FIRST_COMPLETED")
            # Where Temporal went away: the run is begun, so the honest answer is that it goes on.
            gone = closed.done() and isinstance(closed.exception(), TemporalUnavailable)
            return closed.result() if closed.done() and not gone else state
        finally:
            closed.cancel()
            stop.cancel()

    def _answer(self, state: State, status: int, *, with_result: bool = True) -> JSONResponse:
        link = ui_link(self.settings.ui_url, self.client.namespace, state.id, state.run_id)
        body: dict[str, Any] = {
            "id": state.id,
            "status": state.outcome,
            "statusUrl": _path(state.id),
            "uiUrl": link,
        }
        if with_result and state.result:
            body["result"] = state.result.model_dump(mode="json", by_alias=True)
        return JSONResponse(body, status)


def create_app(gateway: Gateway, tokens: Tokens) -> FastAPI:
    """Return the gateway as an ASGI application, its guard around it."""
    app = FastAPI(
        title="SendWhatsApp gateway",
        version="1",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers=handlers(),
        # Its own spans hold the path and the query, and ids and keys with them.
        telemetry={"tracing": False},
    )
    app.post("/v1/messages", **openapi.POST)(gateway.post)
    app.get("/v1/messages/{id:path}", **openapi.GET)(gateway.get)
    app.delete("/v1/messages/{id:path}", **openapi.DELETE)(gateway.delete)
    app.post("/v1/webhooks/{name}", **openapi.WEBHOOK)(gateway.webhook)
    app.get("/readyz", **openapi.READY)(gateway.ready)
    BatchRoutes(gateway.client, gateway.settings).add_to(app)

    @app.get("/healthz", **openapi.HEALTHY)
    async def healthz() -> dict[str, str]:
        """Return 200 while the process serves."""
        return {"status": "ok"}

    signed = {
        f"/v1/webhooks/{name}": f"webhook {name}"
        for name, webhook in gateway.webhooks.items()
        if webhook.signature
    }
    rates = Rates(gateway.settings.max_requests_per_minute)
    app.add_middleware(GatewayMiddleware, tokens=tokens, rates=rates, signed=signed)
    return app


@asynccontextmanager
async def serving(app: FastAPI, host: str, port: int) -> AsyncIterator[uvicorn.Server]:
    """Serve until SIGTERM or SIGINT, or until the block ends; raises SettingsError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise SettingsError(
            f"GATEWAY_BIND cannot be listened on ({error.strerror}); for example"
            " GATEWAY_BIND=127.0.0.1:8080"
        ) from None
    config = uvicorn.Config(
        app,
        http=ProblemProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        h11_max_incomplete_event_size=40 * 1024,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=20,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve([listening]))
    while not server.started and not task.done():
        await asyncio.sleep(0.01)
    try:
        yield server
    finally:
        server.should_exit = True
        await task


async def run(settings: GatewaySettings) -> None:
    """Serve until SIGTERM or SIGINT; raises SettingsError, and TemporalUnavailable for TEMPORAL_*.

    What waits for the end of a run is answered `running` when the gateway stops.
    """
    tokens = Tokens.of(settings)
    webhooks = load(Path(settings.webhooks_file)) if settings.webhooks_file else {}
    client = await connect(retry=NO_RETRIES, lazy=True)
    host, _, port = settings.bind.rpartition(":")
    gateway = Gateway(client, settings, webhooks)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, gateway.stopping.set)
    async with serving(create_app(gateway, tokens), host.strip("[]"), int(port)):
        logger.info("gateway listens on %s", settings.bind)
        await gateway.stopping.wait()


def main() -> None:
    """Run the gateway of this process; end with one line where a setting is wrong."""
    # uvicorn raises the signal that stopped it once more; a graceful stop is no end by a signal.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    try:
        settings = GatewaySettings.load()
        logs.set_up(settings.log_level, settings.log_format)
        tracing.set_up(settings.otlp_endpoint, "send-whatsapp-gateway")
        asyncio.run(run(settings))
    except (SettingsError, TemporalUnavailable) as error:
        sys.exit(str(error))


def _path(workflow_id: str) -> str:
    return f"/v1/messages/{quote(workflow_id, safe='')}"


def _key(values: list[str]) -> str | None:
    """Return the key of `Idempotency-Key`: the draft's quoted string, or the same bare."""
    if not values:
        return None
    if len(values) > 1:
        raise Problem(400, "Give one Idempotency-Key")
    value = values[0].strip(" \t")
    if value.startswith('"'):
        quoted = re.fullmatch(r'"((?:[^"\\]|\\["\\])*)"', value)
        if not quoted:
            raise Problem(400, "Idempotency-Key is no quoted string")
        value = re.sub(r"\\(.)", r"\1", quoted[1])
    if not value:
        raise Problem(400, "Idempotency-Key is empty")
    return value


def _wait(prefer: str) -> float | None:
    found = re.search(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,9})", prefer, re.ASCII | re.IGNORECASE)
    return min(float(found[1]), MAX_WAIT_S) if found else None
