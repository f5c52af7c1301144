"""The HTTP gateway: the application with its routes, and the process that serves it."""

import asyncio
import logging
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response
from temporalio.client import Client
from temporalio.service import RetryConfig

from send_whatsapp.gateway import openapi, time_limits
from send_whatsapp.gateway.batches import BatchRoutes
from send_whatsapp.gateway.messages import MessageRoutes
from send_whatsapp.gateway.middleware import GatewayMiddleware
from send_whatsapp.gateway.problems import exception_handlers
from send_whatsapp.gateway.rate_limit import RateLimit
from send_whatsapp.gateway.server import serving
from send_whatsapp.gateway.tokens import Tokens
from send_whatsapp.gateway.webhooks import Webhook, load_webhooks
from send_whatsapp.gateway.webhooks.routes import WebhookRoutes
from send_whatsapp.settings import GatewaySettings, SettingsError
from send_whatsapp.telemetry import logs, tracing
from send_whatsapp.temporal.connection import TemporalUnavailable, connect, rpc

logger = logging.getLogger(__name__)

# The SDK must not retry by itself: it could start a run whose caller was already answered 503.
NO_RETRIES = RetryConfig(max_retries=0, max_elapsed_time_millis=1)


def create_app(
    client: Client,
    settings: GatewaySettings,
    tokens: Tokens,
    webhooks: Mapping[str, Webhook],
    stopping: asyncio.Event,
) -> FastAPI:
    """Return the gateway as an ASGI application; `stopping` ends every wait for a run."""
    app = FastAPI(
        title="SendWhatsApp gateway",
        version="1",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers=exception_handlers(),
        # FastAPI's own spans would contain the path and the query, and with them ids and keys.
        telemetry={"tracing": False},
    )
    message_routes = MessageRoutes(client, settings, stopping)
    webhook_routes = WebhookRoutes(webhooks, message_routes)
    message_routes.add_to(app)
    webhook_routes.add_to(app)
    BatchRoutes(client, settings).add_to(app)

    @app.get("/healthz", **openapi.HEALTHY)
    async def healthz() -> dict[str, str]:
        """Return 200 while the process serves."""
        return {"status": "ok"}

    @app.get("/readyz", **openapi.READY)
    async def ready() -> Response:
        """Return 200 if Temporal answers, 503 otherwise."""
        async with rpc(client, time_limits.READY_S):
            await client.service_client.check_health()
        return JSONResponse({"status": "ready"})

    app.add_middleware(
        GatewayMiddleware,
        tokens=tokens,
        rate_limit=RateLimit(settings.max_requests_per_minute),
        signed_paths=webhook_routes.signed_paths,
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
    async with serving(create_app(client, settings, tokens, webhooks, stopping), settings.bind):
        logger.info("gateway listens on %s", settings.bind)
        await stopping.wait()


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
