"""Around every request: limits, who calls, and one line in the access log."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from send_whatsapp.gateway import time_limits
from send_whatsapp.gateway.access_log import AccessLogEntry
from send_whatsapp.gateway.body import has_body, read_body, replay
from send_whatsapp.gateway.places import Place, Places, UnprovenPlaces
from send_whatsapp.gateway.problems import CLOSE, Problem, unavailable_problem
from send_whatsapp.gateway.rate_limit import RateLimit
from send_whatsapp.gateway.request_checks import check_headers, check_local_host
from send_whatsapp.gateway.tokens import Tokens
from send_whatsapp.gateway.upload.options import is_upload
from send_whatsapp.gateway.upload.reading import Uploads
from send_whatsapp.gateway.webhooks.routes import SignedWebhook
from send_whatsapp.telemetry import tracing

logger = logging.getLogger(__name__)

COME_BACK = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
"""Refusals of callers that have shown who they are."""

MAX_DRAIN_BYTES = 64 * 1024 * 1024


class GatewayMiddleware:
    """Checks each request before its route is called, and logs it with the route afterwards.

    A route finds in `request.state` the name of its `caller`, the `place` that it holds, and its
    `upload` if it is the route of uploads.
    """

    def __init__(
        self,
        app: ASGIApp,
        tokens: Tokens,
        rate_limit: RateLimit,
        signed: Mapping[str, SignedWebhook],
        places: Places,
        uploads: Uploads,
        unproven: UnprovenPlaces,
    ) -> None:
        """Wrap `app`; `signed` has the webhooks that need a signature, by their paths."""
        self._app = app
        self._tokens = tokens
        self._rate_limit = rate_limit
        self._signed = signed
        self._places = places
        self._uploads = uploads
        self._unproven = unproven

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        method = scope["method"]
        if method == "HEAD":
            # The routes answer it as GET. uvicorn, which knows the real method, sends no body.
            scope = {**scope, "method": "GET"}
        entry = AccessLogEntry(scope, method)
        arrival = _Arrival(scope, receive)

        async def send_and_note(message: Message) -> None:
            entry.note(message)
            await send(message)

        try:
            await self._handle(entry, scope, arrival.receive, send_and_note)
        except Problem as problem:
            await self._refuse(problem, arrival, send_and_note)
        except Exception as error:
            logger.exception("internal error of the gateway")
            if entry.status is None:
                title = f"Internal error of the gateway ({type(error).__name__})"
                await Problem(500, title).response()(scope, receive, send_and_note)
        finally:
            entry.write()

    async def _handle(
        self, entry: AccessLogEntry, scope: Scope, receive: Receive, send: Send
    ) -> None:
        check_headers(scope)
        if self._tokens.everybody_may_call:
            check_local_host(scope)
        path: str = scope["path"]
        signed = self._signed.get(path)
        if signed is None and path.startswith("/v1/"):
            caller = entry.caller = self._caller_with_token(scope)
            with self._place(caller) as place:
                body = b""
                if is_upload(scope):
                    upload = await self._uploads.read(scope, receive, caller)
                    scope["state"]["upload"] = upload
                else:
                    body = await read_body(scope, receive, asyncio.timeout(time_limits.ARRIVAL_S))
                await self._serve(caller, place, scope, replay(body, receive), send)
            return
        body = b""
        if has_body(scope):
            unproven = self._unproven.place(time_limits.UNPROVEN_ARRIVAL_S)
            body = await read_body(scope, receive, unproven)
        if signed is None:
            # Health probes come every few seconds: they have no caller and belong to no trace.
            await self._app(scope, replay(body, receive), send)
            return
        caller = entry.caller = signed.caller
        signed.verify(Headers(scope=scope), body)
        with self._place(caller) as place:
            await self._serve(caller, place, scope, replay(body, receive), send)

    async def _serve(
        self, caller: str, place: Place, scope: Scope, receive: Receive, send: Send
    ) -> None:
        scope["state"] |= {"caller": caller, "place": place}
        with tracing.request(scope):
            await self._app(scope, receive, send)

    def _caller_with_token(self, scope: Scope) -> str:
        """Return the name of the caller's token. Raises Problem."""
        authorization = [value for name, value in scope["headers"] if name == b"authorization"]
        caller = self._tokens.caller(authorization)
        if caller is None:
            headers = {"WWW-Authenticate": "Bearer"}
            raise Problem(401, "A valid bearer token is required", headers)
        if wait_s := self._rate_limit.take(caller):
            title = "This caller makes more requests a minute than allowed"
            raise Problem(429, title, {"Retry-After": str(wait_s)})
        return caller

    def _place(self, caller: str) -> Place:
        place = self._places.take(caller)
        if place is None:
            raise unavailable_problem(
                "This caller makes too many requests at once",
                time_limits.RETRY_AFTER_TOO_MANY_REQUESTS_S,
            )
        return place

    async def _refuse(self, problem: Problem, arrival: "_Arrival", send: Send) -> None:
        """Send the answer, then read what still arrives of the body, then close the connection.

        If the connection were closed with bytes unread, it would be reset and the answer lost. A
        body that took too long is not waited for again. A caller with a token may come back later
        on the same connection, if its request had arrived completely.
        """
        response = problem.response()
        if problem.status not in COME_BACK or not await arrival.is_complete():
            response.headers.update(CLOSE)
        start = {
            "type": "http.response.start",
            "status": response.status_code,
            "headers": response.raw_headers,
        }
        await send(start)
        await send({"type": "http.response.body", "body": response.body, "more_body": True})
        if problem.status != HTTPStatus.REQUEST_TIMEOUT:
            with suppress(TimeoutError):
                async with self._unproven.place(time_limits.DRAIN_S):
                    await arrival.drain()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Arrival:
    """Knows whether a request has arrived completely."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._complete = False
        self._waits_for_answer = any(name == b"expect" for name, _ in scope["headers"])

    async def receive(self) -> Message:
        message = await self._receive()
        self._complete = not message.get("more_body")
        return message

    async def is_complete(self) -> bool:
        """Return whether everything has arrived, without waiting for more."""
        if not self._complete and not self._waits_for_answer:
            receiving = asyncio.create_task(self.receive())
            await asyncio.sleep(0)
            receiving.cancel()
        return self._complete

    async def drain(self) -> None:
        """Read what is missing, MAX_DRAIN_BYTES at most."""
        drained = 0
        while not self._complete and drained < MAX_DRAIN_BYTES:
            message = await self.receive()
            drained += len(message.get("body", b""))
