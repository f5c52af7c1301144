"""The HTTP gateway: messages over HTTP for systems that know no Temporal (surfaces: "Gateway")."""

import asyncio
import json
import logging
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from urllib.parse import quote

import uvicorn
from fastapi import FastAPI, Header, Request
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError
from temporalio.client import Client
from temporalio.service import RetryConfig

from contract.names import InvalidKey
from contract.request import SendWhatsAppRequest, problems
from contract.result import SendWhatsAppResult
from settings import GatewaySettings, SettingsError
from starters import client as sends
from starters.display import ui_link
from starters.gateway_http import Guard, Problem, ProblemProtocol, handlers, parse_json
from starters.gateway_tokens import Tokens
from telemetry import logs, tracing

logger = logging.getLogger(__name__)

MAX_WAIT_S = 300
CANCEL_WAIT_S = 8.0

# One try each: what was answered 503 must not be started by a retry behind our back.
NO_RETRIES = RetryConfig(max_retries=0, max_elapsed_time_millis=1)

_EXAMPLES = {
    "text": {"value": {"to": "+1234567890", "message": "Hello"}},
    "template": {
        "value": {
            "to": "+1234567890",
            "template": "visa_approved",
            "variables": {"name": "John Doe", "fallback_message": "Your visa is approved!"},
        }
    },
    "file": {
        "value": {
            "to": "+1234567890",
            "fileUrl": "https://example.com/visa.pdf",
            "fileType": "document",
        }
    },
}

_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": SendWhatsAppRequest.model_json_schema(by_alias=True),
                "examples": _EXAMPLES,
            }
        },
    }
}


class Gateway:
    """The routes, and what they share: a Temporal client and the settings."""

    def __init__(self, client: Client, settings: GatewaySettings) -> None:
        """Start runs with this client."""
        self.client = client
        self.settings = settings

    async def post(
        self,
        request: Request,
        prefer: Annotated[str | None, Header()] = None,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Start a send: 202 with its state, or with `Prefer: wait=N` 200 once it is closed."""
        key = _key(request.headers.getlist("idempotency-key"))
        wait = _wait(prefer)
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind != "application/json":
            raise Problem(415, "Send the message as application/json")
        body = parse_json(await request.body())
        try:
            asked = SendWhatsAppRequest.model_validate_json(json.dumps(body))
        except ValidationError as error:
            found = [problem.model_dump() for problem in problems(error)]
            raise Problem(422, "The request is wrong", errors=found) from None
        state = await self._start(asked, key)
        if wait and state.outcome == "running":
            state = await self._closed_within(state, wait)
        closed = wait is not None and state.outcome != "running"
        answer = self._answer(state, 200 if closed else 202, with_result=closed)
        answer.headers["Location"] = _path(state.id)
        return answer

    async def get(self, id: str) -> Response:
        """Return how a message stands, with `result` once its run is closed."""
        return self._answer(await sends.get_state(self.client, id), 200)

    async def delete(self, id: str) -> Response:
        """Cancel: 200 only where nothing was sent, 202 while unknown, 409 where it is too late."""
        state = await sends.get_state(self.client, id)
        if state.outcome == "running":
            await sends.request_cancel(self.client, state)
            state = await self._closed_within(state, CANCEL_WAIT_S)
        if state.outcome in ("running", "cancelled"):
            return self._answer(state, 200 if state.outcome == "cancelled" else 202)
        raise Problem(409, "It is too late to cancel", id=state.id, messageStatus=state.outcome)

    async def ready(self) -> Response:
        """Return 200 where Temporal answers."""
        async with sends.answers(self.client.service_client.config.target_host, within_s=3):
            await self.client.service_client.check_health()
        return JSONResponse({"status": "ready"})

    async def _start(self, asked: SendWhatsAppRequest, key: str | None) -> sends.State:
        try:
            started = await sends.start_send(
                self.client, asked, key=key, task_queue=self.settings.task_queue
            )
        except InvalidKey as error:
            raise Problem(400, f"Idempotency-Key: {error}") from None
        except sends.OutcomeUnknown:
            return await sends.get_state(self.client, key or "")
        except sends.KeyConflict:
            raise Problem(422, "The Idempotency-Key belongs to another request") from None
        if started.existing:
            return await sends.get_state(self.client, started.id, run_id=started.run_id)
        return sends.State.begun(started)

    async def _closed_within(self, state: sends.State, seconds: float) -> sends.State:
        try:
            async with asyncio.timeout(seconds):
                return await sends.get_state(self.client, state.id, run_id=state.run_id, wait=True)
        except (TimeoutError, sends.TemporalUnavailable):
            # The run is begun, so the honest answer is that it goes on.
            return state

    def _answer(self, state: sends.State, status: int, *, with_result: bool = True) -> JSONResponse:
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
        exception_handlers=handlers(),
        # Its own spans hold the path and the query, and ids and keys with them.
        telemetry={"tracing": False},
    )
    result = {"content": {"application/json": {"schema": SendWhatsAppResult.model_json_schema()}}}
    app.post("/v1/messages", status_code=202, openapi_extra=_BODY, responses={200: result})(
        gateway.post
    )
    app.get("/v1/messages/{id:path}")(gateway.get)
    app.delete("/v1/messages/{id:path}")(gateway.delete)
    app.get("/readyz")(gateway.ready)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Return 200 while the process serves."""
        return {"status": "ok"}

    app.add_middleware(Guard, tokens=tokens)
    return app


@asynccontextmanager
async def serving(app: FastAPI, host: str, port: int) -> AsyncIterator[uvicorn.Server]:
    """Serve until SIGTERM or SIGINT, or until the block ends."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=ProblemProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        h11_max_incomplete_event_size=40 * 1024,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=20,
        backlog=1024,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started and not task.done():
        await asyncio.sleep(0.01)
    try:
        yield server
    finally:
        server.should_exit = True
        await task


async def run(settings: GatewaySettings) -> None:
    """Serve the gateway of these settings; raises TemporalUnavailable for wrong TEMPORAL_*."""
    tokens = Tokens.of(settings)
    client = await sends.connect(retry=NO_RETRIES, lazy=True)
    host, _, port = settings.bind.rpartition(":")
    app = create_app(Gateway(client, settings), tokens)
    async with serving(app, host.strip("[]"), int(port)) as server:
        if not server.started:
            return
        logger.info("gateway listens on %s", settings.bind)
        while not server.should_exit:
            await asyncio.sleep(0.2)


def main() -> None:
    """Run the gateway of this process; end with one line where a setting is wrong."""
    # uvicorn raises the signal that stopped it once more; a graceful stop is no end by a signal.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    try:
        settings = GatewaySettings.load()
        logs.set_up(settings.log_level, settings.log_format)
        tracing.set_up(settings.otlp_endpoint, "send-whatsapp-gateway")
        asyncio.run(run(settings))
    except (SettingsError, sends.TemporalUnavailable) as error:
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


def _wait(prefer: str | None) -> float | None:
    found = re.search(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,9})", prefer or "", re.ASCII)
    return min(float(found[1]), MAX_WAIT_S) if found else None
