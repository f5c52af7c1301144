"""uvicorn with the gateway's limits."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI

from send_whatsapp.gateway import time_limits
from send_whatsapp.gateway.connections import Connections, max_connections
from send_whatsapp.gateway.problems import EVERY_ANSWER
from send_whatsapp.gateway.protocol import GatewayProtocol
from send_whatsapp.gateway.request_checks import MAX_HEADER_BYTES
from send_whatsapp.settings import SettingsError


@asynccontextmanager
async def serving(app: FastAPI, bind: str) -> AsyncIterator[None]:
    """Serve the app at `bind` (host:port) until the block ends. Raises SettingsError."""
    connections = Connections(max_connections())
    config = uvicorn.Config(
        app,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        headers=list(EVERY_ANSWER.items()),
        # Above our own limit, so that the middleware answers most requests that exceed it.
        h11_max_incomplete_event_size=MAX_HEADER_BYTES + 8 * 1024,
        timeout_keep_alive=time_limits.KEEP_ALIVE_S,
        timeout_graceful_shutdown=time_limits.SHUTDOWN_S,
    )
    server = uvicorn.Server(config)
    # The listening socket is ours, because uvicorn accepts connections without a limit.
    with _listen(bind) as listening:
        task = asyncio.create_task(server.serve(sockets=[]))
        while not server.started and not task.done():
            await asyncio.sleep(0.01)
        accepting = asyncio.create_task(
            connections.accept(
                listening,
                lambda: GatewayProtocol(
                    connections, config=config, server_state=server.server_state, app_state={}
                ),
            )
        )
        try:
            yield
        finally:
            accepting.cancel()
            listening.close()
            server.should_exit = True
            await task


def _listen(bind: str) -> socket.socket:
    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, int(port)), family=family, backlog=1024)
    except OSError as error:
        raise SettingsError(
            f"GATEWAY_BIND is an address that the gateway cannot listen on ({error.strerror}); for"
            " example GATEWAY_BIND=127.0.0.1:8080"
        ) from None
