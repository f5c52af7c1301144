"""How a call goes over the wire: httpx over aiohttp's connections, and how far each call got.

httpx's own connections cost a call 2.3 ms of CPU with 50 in flight, aiohttp's 0.6
(`python -m bench.transports`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

CONNECTIONS = 100
"""As many as a worker's activities at once, so that none of them waits for a free one."""

KEEP_ALIVE_S = 4.0
"""Below the 5 s after which common servers close an idle connection, perhaps under our request."""

MAX_HEADER = 64 * 1024

LOST = (httpx.HTTPError, aiohttp.ClientError)
"""What a call raises that got no whole answer; `Progress` says what that proves."""


@dataclass
class Progress:
    """How far a call got: `connected` once there is a connection that its bytes may be written to.

    Until then nothing was sent; from then on nobody knows, unless an answer tells.
    """

    connected: bool = False


_progress: ContextVar[Progress] = ContextVar("progress")


@contextmanager
def progress() -> Iterator[Progress]:
    """Follow the call that the block makes."""
    told = Progress()
    token = _progress.set(told)
    try:
        yield told
    finally:
        _progress.reset(token)


def transport() -> httpx.AsyncBaseTransport:
    """Return httpx's way to the wire: no retries, no redirects, no cookies, no proxies."""
    return AiohttpTransport(client=_session)


def _session() -> aiohttp.ClientSession:
    traces = aiohttp.TraceConfig()
    traces.on_connection_reuseconn.append(_connected)
    traces.on_connection_create_end.append(_connected)
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            # The same certificate authorities wherever it runs, as with httpx.
            ssl=httpx.create_ssl_context(trust_env=False),
            limit=CONNECTIONS,
            keepalive_timeout=KEEP_ALIVE_S,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=[traces],
        max_line_size=MAX_HEADER,
        max_field_size=MAX_HEADER,
    )
    # aiohttp would ask a GET again by itself where a kept connection is lost; Temporal retries.
    session._retry_connection = False
    return session


async def _connected(session: aiohttp.ClientSession, context: SimpleNamespace, told: Any) -> None:
    _progress.get().connected = True
