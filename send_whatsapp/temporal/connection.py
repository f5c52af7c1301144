"""A connected Temporal client, and one error for every way in which the server does not answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.runtime import Runtime
from temporalio.service import RetryConfig, RPCError, RPCStatusCode

from send_whatsapp.contract.converter import contract_plugin
from send_whatsapp.settings import SettingsError, TemporalSettings, TracingSettings
from send_whatsapp.telemetry import tracing
from send_whatsapp.temporal.process import wait_at_exit

RPC_TIMEOUT_S = 8.0
"""Time limit of one call to the Temporal server."""

NO_ANSWER = frozenset(
    {
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.CANCELLED,
        RPCStatusCode.UNKNOWN,
    }
)
"""Status codes that mean the server did not answer; another call may succeed."""


class TemporalUnavailable(Exception):
    """Temporal does not answer; the message names the address and says what to do."""


async def connect(
    runtime: Runtime | None = None, retry: RetryConfig | None = None, *, lazy: bool = False
) -> Client:
    """Return a client of the server that the `TEMPORAL_*` variables name.

    A lazy client connects at its first call. Traces go to `OTEL_EXPORTER_OTLP_ENDPOINT`, or to the
    tracer provider of the calling program. Raises TemporalUnavailable, and SettingsError for a
    wrong variable.
    """
    tracing.set_up(TracingSettings.load().otlp_endpoint, "send-whatsapp-client")
    TemporalSettings.load()
    wait_at_exit()
    try:
        config = ClientConfig.load_client_connect_config()
    except RuntimeError:
        raise SettingsError(
            "TEMPORAL_PROFILE or TEMPORAL_CONFIG_FILE must name a readable profile;"
            " for example TEMPORAL_PROFILE=default"
        ) from None
    address = config.get("target_host") or "localhost:7233"
    async with _rpc(address, RPC_TIMEOUT_S):
        return await Client.connect(
            **{"target_host": address, **config},  # type: ignore[arg-type]
            # Tracing first, so that it also covers what the contract refuses.
            plugins=[*tracing.plugins(), contract_plugin()],
            runtime=runtime,
            retry_config=retry,
            lazy=lazy,
        )


def rpc(
    client: Client, timeout_s: float | None = RPC_TIMEOUT_S
) -> AbstractAsyncContextManager[None]:
    """Run the calls of the block within `timeout_s` seconds; None: the caller limits the time.

    Raises TemporalUnavailable if the server does not answer in time, does not know the namespace
    or refuses the credentials. Other RPCErrors pass.
    """
    return _rpc(client.service_client.config.target_host, timeout_s)


@asynccontextmanager
async def _rpc(address: str, timeout_s: float | None) -> AsyncIterator[None]:
    try:
        # The SDK retries past an `rpc_timeout`, hence a timeout around it.
        async with asyncio.timeout(timeout_s):
            yield
    except RPCError as error:
        if error.status in NO_ANSWER:
            raise TemporalUnavailable(_no_answer(address)) from None
        if error.status == RPCStatusCode.NOT_FOUND and "amespace" in error.message:
            raise TemporalUnavailable(
                f"Temporal at {address} has no such namespace: correct TEMPORAL_NAMESPACE"
            ) from None
        if error.status in (RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED):
            raise TemporalUnavailable(
                f"Temporal at {address} refuses: correct TEMPORAL_API_KEY or the TLS certificate"
            ) from None
        raise
    except (TimeoutError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "onnect" not in str(error):
            raise
        raise TemporalUnavailable(_no_answer(address)) from None


def _no_answer(address: str) -> str:
    return f"Temporal does not answer at {address}: start it or correct TEMPORAL_ADDRESS"
