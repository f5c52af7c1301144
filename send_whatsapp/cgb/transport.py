"""The HTTP transport: httpx over aiohttp's connections, with a record of how far each call got.

httpx's own connections cost 2.3 ms of CPU per call with 50 in flight, aiohttp's 0.6 ms
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

CONNECTIONS = 300
"""For the 100 activities that a worker runs at once, and for 200 rows in groups."""

KEEP_ALIVE_S = 4.0
"""Shorter than the 5 s of common servers, so that they do not close a connection as we use it."""

MAX_HEADER = 64 * 1024

TRANSPORT_ERRORS = (httpx.HTTPError, aiohttp.ClientError)
"""What a call raises if it gets no complete response."""


@dataclass
class Progress:
    """How far a call got.

    Before `connected` is True, nothing was sent. Afterwards the request may have been sent.
    """

    connected: bool = False


_progress: ContextVar[Progress] = ContextVar("progress")


@contextmanager
def track_progress() -> Iterator[Progress]:
    """Return the progress of the call that the block makes."""
    progress = Progress()
    token = _progress.set(progress)
    try:
        yield progress
    finally:
        _progress.reset(token)


def transport() -> httpx.AsyncBaseTransport:
    """Return a transport for httpx without retries, redirects, cookies and proxies."""
    return AiohttpTransport(client=_session)


def _session() -> aiohttp.ClientSession:
    traces = aiohttp.TraceConfig()
    traces.on_connection_reuseconn.append(_on_connected)
    traces.on_connection_create_end.append(_on_connected)
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            # The certificate authorities that httpx uses, so that they are the same everywhere.
            ssl=httpx.create_ssl_context(trust_env=False),
            limit=CONNECTIONS,
            keepalive_timeout=KEEP_ALIVE_S,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=[traces],
        max_line_size=MAX_HEADER,
        max_field_size=MAX_HEADER,
    )
    # Otherwise aiohttp repeats a GET if a kept connection is lost. Retries are Temporal's job.
    session._retry_connection = False
    return session


async def _on_connected(session: aiohttp.ClientSession, context: SimpleNamespace, _: Any) -> None:
    _progress.get().connected = True
