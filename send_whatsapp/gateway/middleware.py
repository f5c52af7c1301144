"""Around every request: limits, the caller's token, and one line in the access log."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from send_whatsapp.gateway import time_limits
from send_whatsapp.gateway.body import read_body, replay
from send_whatsapp.gateway.problems import CLOSE, Problem, unavailable_problem
from send_whatsapp.gateway.rate_limit import RateLimit
from send_whatsapp.gateway.tokens import Tokens
from send_whatsapp.telemetry import tracing

logger = logging.getLogger("gateway.access")

MAX_HEADER_BYTES = 32 * 1024
MAX_HEADERS = 100
MAX_IN_FLIGHT = 512
"""Requests at once in each pool: those with a token, and those to webhooks with a signature."""

MAX_DRAIN_BYTES = 16 * 1024 * 1024


class GatewayMiddleware:
    """Checks each request before its route is called, and logs it with the route afterwards."""

    def __init__(
        self, app: ASGIApp, tokens: Tokens, rate_limit: RateLimit, signed_paths: Mapping[str, str]
    ) -> None:
        """Wrap `app`; `signed_paths` has the caller of each path whose route checks a signature."""
        self._app = app
        self._tokens = tokens
        self._rate_limit = rate_limit
        self._signed_paths = signed_paths
        self._in_flight: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        entry = _AccessLogEntry(scope)

        async def send_and_note(message: Message) -> None:
            entry.note(message)
            await send(message)

        try:
            _check_headers(scope)
            entry.caller = self._caller(scope)
            await self._handle(entry.caller, scope, receive, send_and_note)
        except Problem as problem:
            await _refuse(problem, receive, send_and_note)
        except Exception as error:
            logger.exception("internal error of the gateway")
            if entry.status is None:
                title = f"Internal error of the gateway ({type(error).__name__})"
                await Problem(500, title).response()(scope, receive, send_and_note)
        finally:
            entry.write()

    async def _handle(self, caller: str | None, scope: Scope, receive: Receive, send: Send) -> None:
        if caller is None:
            # Health probes come every few seconds: they need no place and belong to no trace.
            await self._app(scope, replay(await read_body(scope, receive), receive), send)
            return
        # Requests that have not shown a signature yet take no place from those with a token.
        with self._counted_in_flight("signed" if scope["path"] in self._signed_paths else "token"):
            body = await read_body(scope, receive)
            with tracing.request(scope):
                await self._app(scope, replay(body, receive), send)

    def _caller(self, scope: Scope) -> str | None:
        """Return the caller's name; None for a path that needs no token. Raises Problem."""
        path: str = scope["path"]
        if not path.startswith("/v1/"):
            return None
        if path in self._signed_paths:
            return self._signed_paths[path]
        authorization = [value for name, value in scope["headers"] if name == b"authorization"]
        caller = self._tokens.caller(authorization)
        if caller is None:
            headers = {"WWW-Authenticate": "Bearer", **CLOSE}
            raise Problem(401, "A valid bearer token is required", headers)
        if wait_s := self._rate_limit.take(caller):
            title = "This caller makes more requests a minute than allowed"
            raise Problem(429, title, {"Retry-After": str(wait_s)})
        return caller

    @contextmanager
    def _counted_in_flight(self, pool: str) -> Iterator[None]:
        """Count a request in its pool while the block runs. Raises Problem if the pool is full."""
        if self._in_flight[pool] >= MAX_IN_FLIGHT:
            raise unavailable_problem(
                "Too many requests at once", time_limits.RETRY_AFTER_TOO_MANY_REQUESTS_S
            )
        self._in_flight[pool] += 1
        try:
            yield
        finally:
            self._in_flight[pool] -= 1


class _AccessLogEntry:
    """The line of one request: its route, and never its path, query, headers or body."""

    def __init__(self, scope: Scope) -> None:
        self.caller: str | None = None
        self.status: int | None = None
        self._scope = scope
        self._started_at = time.perf_counter()

    def note(self, message: Message) -> None:
        """Take the status from the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]

    def write(self) -> None:
        """Write the line."""
        logger.info(
            "request",
            extra={
                "method": self._scope["method"],
                "route": getattr(self._scope.get("route"), "path", "-"),
                "status": self.status or 500,
                "ms": round((time.perf_counter() - self._started_at) * 1000),
                "caller": self.caller or "-",
            },
        )


def _check_headers(scope: Scope) -> None:
    """Raise Problem for headers that no caller may send, on any route."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    names = [name for name, _ in headers]
    if scope["http_version"] not in ("1.0", "1.1"):
        raise Problem(505, "Use HTTP/1.1", CLOSE)
    size = len(scope["raw_path"]) + len(scope["query_string"])
    size += sum(len(name) + len(value) + 4 for name, value in headers)
    if len(headers) > MAX_HEADERS or size > MAX_HEADER_BYTES:
        raise Problem(431, "The headers are too large or too many", CLOSE)
    if b"content-length" in names and b"transfer-encoding" in names:
        # Two lengths for one body: a proxy may use one and we the other (request smuggling).
        raise Problem(400, "Send Content-Length or Transfer-Encoding, not both", CLOSE)


async def _refuse(problem: Problem, receive: Receive, send: Send) -> None:
    """Send the answer, then read what still arrives of the body.

    If the connection were closed with bytes unread, it would be reset and the answer lost.
    """
    response = problem.response()
    start = {
        "type": "http.response.start",
        "status": response.status_code,
        "headers": response.raw_headers,
    }
    await send(start)
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    drained = 0
    try:
        async with asyncio.timeout(time_limits.DRAIN_S):
            while drained < MAX_DRAIN_BYTES:
                message = await receive()
                drained += len(message.get("body", b""))
                if not message.get("more_body"):
                    break
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b"", "more_body": False})
