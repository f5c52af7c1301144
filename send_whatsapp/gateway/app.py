"""The HTTP gateway: the application with its routes, and the process that serves it."""

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from temporalio.client import Client
from temporalio.service import RetryConfig

from send_whatsapp.gateway import places, time_limits
from send_whatsapp.gateway.batches import BatchRoutes
from send_whatsapp.gateway.connections import max_connections
from send_whatsapp.gateway.documentation import add_documentation
from send_whatsapp.gateway.messages import MessageRoutes
from send_whatsapp.gateway.middleware import GatewayMiddleware
from send_whatsapp.gateway.openapi import operations
from send_whatsapp.gateway.opt_outs import OptOutRoutes
from send_whatsapp.gateway.places import Places, UnprovenPlaces
from send_whatsapp.gateway.problems import exception_handlers
from send_whatsapp.gateway.rate_limit import RateLimit
from send_whatsapp.gateway.readiness import Readiness
from send_whatsapp.gateway.server import serving
from send_whatsapp.gateway.starts import SendStarter
from send_whatsapp.gateway.tokens import Tokens
from send_whatsapp.gateway.upload.reading import Uploads
from send_whatsapp.gateway.webhooks import Webhook, load_webhooks
from send_whatsapp.gateway.webhooks.routes import WebhookRoutes
from send_whatsapp.settings import GatewaySettings, SettingsError
from send_whatsapp.telemetry import logs, tracing
from send_whatsapp.temporal.clock import TemporalClock
from send_whatsapp.temporal.connection import TemporalUnavailable, connect

logger = logging.getLogger(__name__)

# The SDK must not retry by itself: it could start a run whose caller was already answered 503.
NO_RETRIES = RetryConfig(max_retries=0, max_elapsed_time_millis=1)


def create_app(
    client: Client,
    settings: GatewaySettings,
    tokens: Tokens,
    webhooks: Mapping[str, Webhook],
    clock: TemporalClock,
    stopping: asyncio.Event,
) -> FastAPI:
    """Return the gateway as an ASGI application.

    Somebody must follow `clock` and the tokens file. `stopping` ends every wait for a run.
    """
    app = FastAPI(
        title="SendWhatsApp gateway",
        version="1",
        # Ours are in documentation.py: FastAPI's pages load files from elsewhere.
        openapi_url=None,
        redirect_slashes=False,
        exception_handlers=exception_handlers(),
        # FastAPI's own spans would contain the path and the query, and with them ids and keys.
        telemetry={"tracing": False},
    )
    readiness = Readiness(client)
    starter = SendStarter(client, settings, clock, readiness)
    third = max_connections() // 3
    waits = Places(
        per_caller=min(places.MAX_WAITS_PER_CALLER, third // 2),
        total=min(places.MAX_WAITS, third),
    )
    message_routes = MessageRoutes(client, settings, starter, waits, stopping)
    webhook_routes = WebhookRoutes(webhooks, message_routes, tokens)
    message_routes.add_to(app)
    webhook_routes.add_to(app)
    BatchRoutes(client, settings).add_to(app)
    OptOutRoutes(client, settings, clock, waits).add_to(app)

    @app.get("/healthz", **operations.HEALTHY)
    async def healthz() -> Response:
        """Return 200 while the process serves."""
        return JSONResponse({"status": "ok"})

    @app.get("/readyz", **operations.READY)
    async def ready() -> Response:
        """Return 200 if a message could be started now, 503 otherwise."""
        await readiness.check()
        await clock.known_now(time_limits.CLOCK_S)
        warning = clock.warning()
        return JSONResponse({"status": "ready"} | ({"warning": warning} if warning else {}))

    add_documentation(app, webhooks, needs_token=not tokens.everybody_may_call)
    app.add_middleware(
        GatewayMiddleware,
        tokens=tokens,
        rate_limit=RateLimit(settings.max_requests_per_minute),
        signed=webhook_routes.signed,
        places=Places(per_caller=min(places.MAX_REQUESTS_PER_CALLER, third)),
        uploads=Uploads(settings.default_region),
        unproven=UnprovenPlaces(min(places.MAX_UNPROVEN, third)),
    )
    return app


async def run(settings: GatewaySettings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises SettingsError, and TemporalUnavailable for wrong `TEMPORAL_*` variables.
    """
    tokens = Tokens.from_settings(settings)
    webhooks = load_webhooks(Path(settings.webhooks_file)) if settings.webhooks_file else {}
    client = await connect(retry=NO_RETRIES, lazy=True)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    clock = TemporalClock(client)
    app = create_app(client, settings, tokens, webhooks, clock, stopping)
    follow = [clock.follow(time_limits.CLOCK_CHECK_S)]
    follow += [file.follow() for file in tokens.files]
    async with serving(app, settings.bind), in_background(*follow):
        logger.info("gateway listens on %s", settings.bind)
        await stopping.wait()


@asynccontextmanager
async def in_background(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run endless work until the block ends; log an error if some of it ends earlier."""
    tasks = [asyncio.create_task(one) for one in work]
    for task in tasks:
        task.add_done_callback(_log_failure)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        logger.error("work in the background has failed: restart the gateway", exc_info=error)


def main() -> None:
    """Run the gateway as this process; exit with one line if a setting is wrong."""
    # After a graceful stop uvicorn raises the signal again; that must not count as a crash.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    try:
        settings = GatewaySettings.load()
        logs.set_up(settings.log_level, settings.log_format)
        tracing.set_up(settings.otlp_endpoint, "send-whatsapp-gateway")
        asyncio.run(run(settings))
    except (SettingsError, TemporalUnavailable) as error:
        sys.exit(str(error))
