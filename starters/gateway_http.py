"""HTTP around the gateway: limits, tokens, problem details and an access log without data."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Coroutine, MutableMapping
from contextlib import nullcontext
from http import HTTPStatus
from typing import Any, NoReturn

import h11
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from starters import client as sends
from starters.gateway_tokens import Tokens
from telemetry import tracing

logger = logging.getLogger("gateway.access")

MAX_BODY = 64 * 1024
MAX_HEADER_BYTES = 32 * 1024
MAX_HEADERS = 100
ARRIVES_WITHIN_S = 15.0
MAX_IN_FLIGHT = 512
RETRY_AFTER_S = "5"


class Problem(Exception):
    """An answer of the gateway's own, as RFC 9457 problem details."""

    def __init__(
        self, status: int, title: str, headers: dict[str, str] | None = None, **more: Any
    ) -> None:
        """Answer with this status and title; `more` are further members."""
        super().__init__(title)
        self.status, self.title, self.headers, self.more = status, title, headers, more

    def response(self) -> JSONResponse:
        """Return the answer."""
        return JSONResponse(
            {"type": "about:blank", "title": self.title, "status": self.status, **self.more},
            self.status,
            self.headers,
            media_type="application/problem+json",
        )


def parse_json(body: bytes) -> Any:
    """Return the JSON of a body; raise Problem where it is none or holds a key twice."""
    try:
        return json.loads(
            body.decode("utf-8"), object_pairs_hook=_once_each, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        raise Problem(400, "The body is no JSON, holds a key twice, NaN or Infinity") from None


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


Handler = Callable[[Request, Exception], Coroutine[Any, Any, Response]]


def handlers() -> dict[int | type[Exception], Handler]:
    """Return what turns exceptions of the routes into problem details."""

    async def problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return error.response()

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        title = HTTPStatus(error.status_code).phrase
        return Problem(error.status_code, title, dict(error.headers or {})).response()

    async def invalid(request: Request, error: Exception) -> Response:
        return Problem(400, "A header or parameter is wrong").response()

    async def not_found(request: Request, error: Exception) -> Response:
        return Problem(404, "No message has this id").response()

    async def unavailable(request: Request, error: Exception) -> Response:
        title = "Temporal does not answer; nothing was started"
        return Problem(503, title, {"Retry-After": RETRY_AFTER_S}).response()

    return {
        Problem: problem,
        HTTPException: http,
        RequestValidationError: invalid,
        sends.NotFound: not_found,
        sends.TemporalUnavailable: unavailable,
    }


class Guard:
    """Checks each request before a route sees it, and logs it with its route afterwards."""

    def __init__(self, app: ASGIApp, tokens: Tokens) -> None:
        """Guard this application with these tokens."""
        self._app = app
        self._tokens = tokens
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began = time.perf_counter()
        status = 500
        caller: str | None = None
        self._in_flight += 1

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            caller = self._admit(scope)
            body = await _whole_body(scope, receive)
            # Probes come every few seconds and belong to nobody's trace.
            with nullcontext() if caller is None else tracing.request(scope):
                await self._app(scope, _replay(body, receive), noted)
        except Problem as problem:
            await problem.response()(scope, receive, noted)
        except Exception as error:
            logger.exception("defect in the gateway")
            if status == 500:
                title = f"A defect of the gateway ({type(error).__name__})"
                await Problem(500, title).response()(scope, receive, noted)
        finally:
            self._in_flight -= 1
            route = getattr(scope.get("route"), "path", "-")
            logger.info(
                "request",
                extra={
                    "method": scope["method"],
                    "route": route,
                    "status": status,
                    "ms": round((time.perf_counter() - began) * 1000),
                    "caller": caller or "-",
                },
            )

    def _admit(self, scope: Scope) -> str | None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        names = [name for name, _ in headers]
        close = {"Connection": "close"}
        size = sum(len(name) + len(value) + 4 for name, value in headers)
        if len(headers) > MAX_HEADERS or size > MAX_HEADER_BYTES:
            raise Problem(431, "The headers are too large", close)
        if b"content-length" in names and b"transfer-encoding" in names:
            raise Problem(400, "Content-Length stands beside Transfer-Encoding", close)
        if not scope["path"].startswith("/v1/"):
            return None
        caller = self._tokens.name_of([v for n, v in headers if n == b"authorization"])
        if caller is None:
            raise Problem(
                401, "A valid bearer token is needed", {"WWW-Authenticate": "Bearer"} | close
            )
        if self._in_flight > MAX_IN_FLIGHT:
            raise Problem(503, "Too many requests at once", {"Retry-After": "1"})
        return caller


async def _whole_body(scope: Scope, receive: Receive) -> bytes:
    """Return the body; raise Problem where it is too large or too slow."""
    close = {"Connection": "close"}
    too_large = Problem(413, f"The body is larger than {MAX_BODY // 1024} KB", close)
    for name, value in scope["headers"]:
        if name == b"content-length" and (len(value) > 9 or int(value) > MAX_BODY):
            raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(ARRIVES_WITHIN_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Problem(400, "The connection was closed", close)
                body += message.get("body", b"")
                if len(body) > MAX_BODY:
                    raise too_large
                if not message.get("more_body"):
                    return bytes(body)
    except TimeoutError:
        raise Problem(408, "The body did not arrive in time", close) from None


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> MutableMapping[str, Any]:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


class ProblemProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, with problem details for what is no HTTP and a limit for slow headers."""

    _deadline: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Take bytes; a request whose headers stay away is cut off."""
        super().data_received(data)
        waiting = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        if waiting and self._deadline is None:
            self._deadline = self.loop.call_later(ARRIVES_WITHIN_S, self._too_slow)
        elif not waiting and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; a connection that says nothing is cut off as well."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(ARRIVES_WITHIN_S, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def _too_slow(self) -> None:
        self._refuse(408, "The headers did not arrive in time")

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._refuse(400, "This is no HTTP request that the gateway can read")

    def _refuse(self, status: int, title: str) -> None:
        body = json.dumps({"type": "about:blank", "title": title, "status": status}).encode()
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
            "content-type: application/problem+json\r\nconnection: close\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        if not self.transport.is_closing():
            self.transport.write(head.encode() + body)
            self.transport.close()
