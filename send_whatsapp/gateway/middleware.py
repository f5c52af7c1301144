"""HTTP around the gateway: limits, tokens, problem details and an access log without data."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager, nullcontext
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from send_whatsapp.client.errors import NotFound
from send_whatsapp.contract.errors import FieldProblem
from send_whatsapp.gateway.strict_json import NoJSON, parse_json
from send_whatsapp.gateway.tokens import Rates, Tokens
from send_whatsapp.telemetry import tracing
from send_whatsapp.temporal.connection import TemporalUnavailable

logger = logging.getLogger("gateway.access")

MAX_BODY = 64 * 1024
MAX_HEADER_BYTES = 32 * 1024
MAX_HEADERS = 100
ARRIVES_WITHIN_S = 15.0
MAX_IN_FLIGHT = 512
MAX_PROBLEMS = 20
RETRY_AFTER_S = "5"

UNREAD_WITHIN_S = 2.0
UNREAD_BYTES = 16 * 1024 * 1024
"""How much of a refused request is still taken, so that its sender gets to read the answer."""

_CLOSE = {"Connection": "close"}


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


def refused(title: str, problems: Sequence[FieldProblem]) -> Problem:
    """Return the 422 that names each wrong field, as far as anybody would read."""
    found = [problem.model_dump() for problem in problems[:MAX_PROBLEMS]]
    return Problem(422, title, errors=found)


async def json_body(request: Request) -> Any:
    """Return the JSON of a request's body; raise Problem where it is none or not declared."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "Send the body as application/json")
    try:
        return parse_json(await request.body())
    except NoJSON:
        raise Problem(400, "The body is no JSON, holds a key twice, NaN or Infinity") from None


Handler = Callable[[Request, Exception], Coroutine[Any, Any, Response]]


def handlers() -> dict[int | type[Exception], Handler]:
    """Return what turns exceptions of the routes into problem details."""

    async def problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return error.response()

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        title = HTTPStatus(error.status_code).phrase
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(sorted(_methods(request)))
        return Problem(error.status_code, title, headers).response()

    async def invalid(request: Request, error: Exception) -> Response:
        return Problem(400, "A header or parameter is wrong").response()

    async def not_found(request: Request, error: Exception) -> Response:
        return Problem(404, "No message has this id").response()

    async def unavailable(request: Request, error: Exception) -> Response:
        title = "Temporal does not answer; try again, with the same Idempotency-Key if there is one"
        return Problem(503, title, {"Retry-After": RETRY_AFTER_S}).response()

    return {
        Problem: problem,
        HTTPException: http,
        RequestValidationError: invalid,
        NotFound: not_found,
        TemporalUnavailable: unavailable,
    }


def _methods(request: Request) -> set[str]:
    """Return what may be asked at this path: the framework names the methods of one route only."""
    path = request.scope["path"]
    return {
        method
        for route in request.app.routes
        if isinstance(route, Route) and route.path_regex.match(path)
        for method in route.methods or ()
    }


class GatewayMiddleware:
    """Checks each request before a route sees it, and logs it with its route afterwards."""

    def __init__(
        self, app: ASGIApp, tokens: Tokens, rates: Rates, signed: Mapping[str, str]
    ) -> None:
        """Wrap an application; `signed` maps paths to callers whose signature the route checks."""
        self._app = app
        self._tokens = tokens
        self._rates = rates
        self._signed = signed
        self._in_flight = {True: 0, False: 0}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began = time.perf_counter()
        status = 500
        caller: str | None = None

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            _check_head(scope)
            caller = self._caller(scope)
            with self._place(scope) if caller else nullcontext():
                body = await _whole_body(scope, receive)
                # Probes come every few seconds and belong to nobody's trace.
                with tracing.request(scope) if caller else nullcontext():
                    await self._app(scope, _replay(body, receive), noted)
        except Problem as problem:
            await _refuse(problem, scope, receive, noted)
        except Exception as error:
            logger.exception("defect in the gateway")
            if status == 500:
                title = f"A defect of the gateway ({type(error).__name__})"
                await Problem(500, title).response()(scope, receive, noted)
        finally:
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

    def _caller(self, scope: Scope) -> str | None:
        """Return who calls; None where anybody may. Raises Problem."""
        path: str = scope["path"]
        if not path.startswith("/v1/"):
            return None
        if path in self._signed:
            return self._signed[path]
        caller = self._tokens.name_of([v for n, v in scope["headers"] if n == b"authorization"])
        if caller is None:
            authenticate = {"WWW-Authenticate": "Bearer"}
            raise Problem(401, "A valid bearer token is needed", authenticate | _CLOSE)
        if wait := self._rates.wait_of(caller):
            again = {"Retry-After": str(wait)}
            raise Problem(429, "More requests in a minute than this caller may make", again)
        return caller

    @contextmanager
    def _place(self, scope: Scope) -> Iterator[None]:
        """Count one request in flight; raise Problem where there are too many.

        Who has not shown a signature yet takes no place of those who have shown a token.
        """
        kind = scope["path"] in self._signed
        if self._in_flight[kind] >= MAX_IN_FLIGHT:
            raise Problem(503, "Too many requests at once", {"Retry-After": "1"})
        self._in_flight[kind] += 1
        try:
            yield
        finally:
            self._in_flight[kind] -= 1


def _check_head(scope: Scope) -> None:
    """Raise Problem for what nobody may send."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    names = [name for name, _ in headers]
    if scope["http_version"] not in ("1.0", "1.1"):
        raise Problem(505, "Speak HTTP/1.1", _CLOSE)
    size = len(scope["raw_path"]) + len(scope["query_string"])
    size += sum(len(name) + len(value) + 4 for name, value in headers)
    if len(headers) > MAX_HEADERS or size > MAX_HEADER_BYTES:
        raise Problem(431, "The headers are too large", _CLOSE)
    if b"content-length" in names and b"transfer-encoding" in names:
        raise Problem(400, "Content-Length stands beside Transfer-Encoding", _CLOSE)


async def _refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer, then take what is still coming of the body.

    Closed at once, with bytes unread, the connection would be reset and the answer lost.
    """
    response = problem.response()
    start = {
        "type": "http.response.start",
        "status": response.status_code,
        "headers": response.raw_headers,
    }
    await send(start)
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    taken = 0
    try:
        async with asyncio.timeout(UNREAD_WITHIN_S):
            while taken < UNREAD_BYTES:
                message = await receive()
                taken += len(message.get("body", b""))
                if not message.get("more_body"):
                    break
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _whole_body(scope: Scope, receive: Receive) -> bytes:
    """Return the body; raise Problem where it is too large or too slow."""
    too_large = Problem(413, f"The body is larger than {MAX_BODY // 1024} KB", _CLOSE)
    for name, value in scope["headers"]:
        if name == b"content-length" and (len(value) > 9 or int(value) > MAX_BODY):
            raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(ARRIVES_WITHIN_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Problem(400, "The connection was closed", _CLOSE)
                body += message.get("body", b"")
                if len(body) > MAX_BODY:
                    raise too_large
                if not message.get("more_body"):
                    return bytes(body)
    except TimeoutError:
        raise Problem(408, "The body did not arrive in time", _CLOSE) from None


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> MutableMapping[str, Any]:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
