"""Problem details (RFC 9457), and the exceptions of the routes that become problem details."""

import json
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import Route
from temporalio.service import RPCError

from send_whatsapp.client.errors import NotFound
from send_whatsapp.contract.errors import FieldProblem
from send_whatsapp.gateway import time_limits
from send_whatsapp.gateway.disconnect import ClientGone
from send_whatsapp.temporal.connection import TemporalUnavailable

MEDIA_TYPE = "application/problem+json"
EVERY_ANSWER: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every answer: it is about one caller's messages, and it is what it says it is."""

CLOSE: Mapping[str, str] = {"Connection": "close"}
"""Header of an answer after which the connection must not be used again."""

CLIENT_GONE = 499
"""Status in the access log if the client did not wait for its answer, as nginx logs it."""

logger = logging.getLogger(__name__)

Handler = Callable[[Request, Exception], Coroutine[Any, Any, Response]]


class Problem(Exception):
    """An error answer: its status, its title, its headers, and further JSON members."""

    def __init__(
        self, status: int, title: str, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(title)
        self.status, self.title, self.headers, self.members = status, title, headers, members

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object of the answer."""
        fields = {"type": "about:blank", "title": self.title, "status": self.status}
        return fields | self.members

    def response(self) -> JSONResponse:
        """Return the answer."""
        return JSONResponse(self.body, self.status, self.headers, media_type=MEDIA_TYPE)

    def as_bytes(self) -> bytes:
        """Return the answer as it is sent on a connection that closes after it."""
        body = json.dumps(self.body).encode()
        headers = {
            "Content-Type": MEDIA_TYPE,
            "Content-Length": str(len(body)),
            **EVERY_ANSWER,
            **(self.headers or {}),
            **CLOSE,
        }
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + body


def invalid_fields(title: str, problems: Sequence[FieldProblem], limit: int = 20) -> Problem:
    """Return a 422 that names the invalid fields, at most `limit` of them."""
    return Problem(422, title, errors=[problem.model_dump() for problem in problems[:limit]])


def exception_handlers() -> dict[int | type[Exception], Handler]:
    """Return the handlers that turn an exception of a route into problem details."""

    async def problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return error.response()

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(sorted(_allowed_methods(request)))
        return Problem(error.status_code, HTTPStatus(error.status_code).phrase, headers).response()

    async def invalid(request: Request, error: Exception) -> Response:
        return Problem(400, "A header or parameter is invalid").response()

    async def not_found(request: Request, error: Exception) -> Response:
        return Problem(404, "No message has this id").response()

    async def unavailable(request: Request, error: Exception) -> Response:
        return unavailable_problem(
            "Temporal does not answer: try again, with the same Idempotency-Key if you sent one",
            time_limits.RETRY_AFTER_NO_TEMPORAL_S,
        ).response()

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, RPCError)
        logger.error("Temporal refused a call: %s", error.status.name)
        return unavailable_problem(
            f"Temporal cannot do this now ({error.status.name}): try again",
            time_limits.RETRY_AFTER_NO_TEMPORAL_S,
        ).response()

    async def gone(request: Request, error: Exception) -> Response:
        return Response(status_code=CLIENT_GONE)

    return {
        Problem: problem,
        HTTPException: http,
        RequestValidationError: invalid,
        NotFound: not_found,
        TemporalUnavailable: unavailable,
        RPCError: refused,
        ClientGone: gone,
    }


def unavailable_problem(title: str, retry_after_s: int) -> Problem:
    """Return a 503 that asks the caller to wait `retry_after_s` seconds."""
    return Problem(503, title, {"Retry-After": str(retry_after_s)})


def _allowed_methods(request: Request) -> set[str]:
    # Starlette lists the methods of one route only; several routes may share a path.
    path = request.scope["path"]
    methods = {
        method
        for route in request.app.routes
        if isinstance(route, Route) and route.path_regex.match(path)
        for method in route.methods or ()
    }
    return methods | {"HEAD"} if "GET" in methods else methods
