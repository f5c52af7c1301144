"""The provider's routes, spoken in its dialect, and the admin routes beside them."""

import asyncio
import json
import socket
import struct
import time
from collections import deque
from typing import Any

from pydantic import TypeAdapter
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from simulator.faults import Fault, Faults
from simulator.page import page
from simulator.state import Flow, Seen, State

_TRANSPORTS: dict[Any, asyncio.Transport] = {}


class TrackedProtocol(H11Protocol):
    """uvicorn's HTTP protocol, with the connection within reach of faults that cut it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Note the connection under its peer's address."""
        super().connection_made(transport)
        _TRANSPORTS[transport.get_extra_info("peername")] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        _TRANSPORTS.pop(self.transport.get_extra_info("peername"), None)
        super().connection_lost(exc)


class Provider:
    """Answers every call; the effect of a send happens exactly when it enters the inbox."""

    def __init__(
        self, state: State, key: str, *, delay_ms: int = 0, rate_per_minute: int | None = None
    ) -> None:
        """Take this key only; delay each answer; refuse what exceeds the rate."""
        self.state = state
        self.faults = Faults()
        self._key = key
        self._delay_s = delay_ms / 1000
        self._rate = rate_per_minute
        self._recent: deque[float] = deque()
        self.calls = 0

    async def call(self, request: Request) -> Response:
        """Answer one provider call."""
        self.calls += 1
        try:
            body = await request.body()
        except ClientDisconnect:
            # Half a request has no effect, and nobody waits for an answer.
            return Response(status_code=400)
        path = request.path_params["path"]
        route = _route(request.method, path)
        digits = path.split("/")[1] if path.startswith("contacts/") and path.count("/") else None
        try:
            parsed = json.loads(body) if body else None
        except ValueError:
            parsed = None
        if digits is None and isinstance(parsed, dict):
            digits = str(parsed.get("phone", "")).lstrip("+") or None
        if digits == "find_by_custom_field":
            digits = request.query_params.get("value", "").strip("+ ")
        if len(self.state.requests) < 200_000:
            self._note(request, route, path, parsed)
        fault = self.faults.next(route, digits)
        if fault:
            return await self._go_wrong(request, fault, route, path, parsed, bool(body))
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        return self._answer(request, route, path, parsed, bool(body))

    def _note(self, request: Request, route: str, path: str, body: Any) -> None:
        headers = {
            name: value
            for name, value in request.headers.items()
            if name in ("authorization", "x-access-token", "x-correlation-id", "accept-encoding")
        }
        query = dict(request.query_params)
        seen = Seen(
            route=route,
            method=request.method,
            path=path,
            query=query,
            body=body,
            headers=headers,
            at=time.time(),
        )
        self.state.requests.append(seen)

    def _answer(
        self, request: Request, route: str, path: str, body: Any, has_body: bool
    ) -> Response:
        state = self.state
        if request.headers.get("x-access-token") != self._key:
            return _html(401, {"error": {"code": 401, "message": "No valid API key provided."}})
        if self._over_rate():
            return JSONResponse({"error": {"code": 429, "message": "Too many requests"}})
        parts = path.split("/")
        correlation_id = request.headers.get("x-correlation-id")
        fields: dict[str, Any] = body if isinstance(body, dict) else {}
        match route:
            case "account":
                return JSONResponse(
                    {"page_id": 4711, "name": "Simulated", "active": True, "total_users": 1}
                )
            case "list_flows":
                return JSONResponse([f.model_dump(include={"id", "name"}) for f in _flows(state)])
            case "find_contact":
                found = state.find(request.query_params.get("value", "").replace(" ", "+"))
                # Ids come as numbers here, and as text from the creation.
                data = [{"id": int(found.id), "first_name": found.first_name}] if found else []
                return JSONResponse({"data": data} if data or len(parts) % 2 else {})
            case "create_contact":
                phone = str(fields.get("phone", ""))
                if not phone:
                    return _html(400, {"error": {"code": 400, "message": "phone is required"}})
                contact = state.upsert(phone, str(fields.get("first_name", "")))
                return JSONResponse({"success": True, "data": {"id": contact.id}})
            case "get_contact":
                known = state.contacts.get(parts[1])
                return JSONResponse(known.model_dump() if known else {"id": "", "first_name": ""})
            case "send_text":
                if not fields.get("text"):
                    return JSONResponse({"success": False, "message": "text is required"})
                state.deliver(parts[1], "text", correlation_id, text=fields["text"])
            case "send_file":
                if fields.get("type") not in ("file", "image", "audio", "video"):
                    return JSONResponse({"success": False, "message": "unknown type"})
                state.deliver(
                    parts[1],
                    "file",
                    correlation_id,
                    text="",
                    url=fields.get("url"),
                    type=fields["type"],
                )
            case "send_flow":
                if not has_body:
                    return _html(411, {"error": {"code": 411, "message": "Length Required"}})
                state.run_flow(parts[1], parts[3], correlation_id)
            case "send_content":
                self._actions(parts[1], fields.get("actions") or [], correlation_id)
            case _:
                return _html(404, {"error": {"code": 404, "message": "Not found"}})
        return JSONResponse({"success": True})

    def _actions(self, contact_id: str, actions: list[Any], correlation_id: str | None) -> None:
        for action in actions:
            if action.get("action") == "set_field_value" and contact_id in self.state.contacts:
                contact = self.state.contacts[contact_id]
                contact.fields[str(action.get("field_name"))] = str(action.get("value"))
            elif action.get("action") == "send_flow":
                self.state.run_flow(contact_id, action.get("flow_id"), correlation_id)

    def _over_rate(self) -> bool:
        if self._rate is None:
            return False
        now = time.monotonic()
        while self._recent and self._recent[0] < now - 60:
            self._recent.popleft()
        if len(self._recent) >= self._rate:
            return True
        self._recent.append(now)
        return False

    async def _go_wrong(
        self, request: Request, fault: Fault, route: str, path: str, body: Any, has_body: bool
    ) -> Response:
        if fault.delay_ms:
            await asyncio.sleep(fault.delay_ms / 1000)
        if fault.effect:
            answer = self._answer(request, route, path, body, has_body)
        else:
            answer = Response(b"")
        transport = _TRANSPORTS.get(tuple(request.client or ()))
        match fault.kind:
            case "answer":
                text = fault.body if isinstance(fault.body, str) else json.dumps(fault.body or {})
                return Response(
                    text.encode("utf-8", "surrogatepass"),
                    fault.status,
                    fault.headers,
                    media_type="text/html",
                )
            case "hang":
                await request.receive()
                return answer
            case "raw" if transport:
                transport.write(fault.raw.encode("latin-1"))
                transport.close()
            case "drip" if transport:
                await _drip(transport, bytes(answer.body))
            case "reset" if transport:
                sock = transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                transport.abort()
            case _ if transport:
                transport.abort()
        return answer


async def _drip(transport: asyncio.Transport, body: bytes) -> None:
    transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (len(body) + 1000))
    for byte in body + b" " * 1000:
        if transport.is_closing():
            return
        transport.write(bytes([byte]))
        await asyncio.sleep(1)


def _flows(state: State) -> list[Flow]:
    return list(state.flows.values())


def _html(status: int, body: dict[str, Any]) -> Response:
    return Response(json.dumps(body), status, media_type="text/html")


def _route(method: str, path: str) -> str:
    parts = path.strip("/").split("/")
    match (method, parts):
        case ("GET", ["accounts", "me"]):
            return "account"
        case ("GET", ["accounts", "flows"]):
            return "list_flows"
        case ("GET", ["contacts", "find_by_custom_field"]):
            return "find_contact"
        case ("GET", ["contacts", _]):
            return "get_contact"
        case ("POST", ["contacts"]):
            return "create_contact"
        case ("POST", ["contacts", _, "send", "text"]):
            return "send_text"
        case ("POST", ["contacts", _, "send", "file"]):
            return "send_file"
        case ("POST", ["contacts", _, "send", _]):
            return "send_flow"
        case ("POST", ["contacts", _, "send_content"]):
            return "send_content"
    return "unknown"


def create_app(provider: Provider) -> Starlette:
    """Return the simulator as an ASGI application."""
    state = provider.state

    async def inbox(request: Request) -> Response:
        phone = request.query_params.get("phone")
        found = [m.model_dump() for m in state.inbox if phone in (None, m.phone)]
        return JSONResponse(found)

    async def requests(request: Request) -> Response:
        return JSONResponse([seen.model_dump() for seen in state.requests])

    async def stats(request: Request) -> Response:
        return JSONResponse({"calls": provider.calls, "messages": len(state.inbox)})

    async def reset(request: Request) -> Response:
        state.reset()
        provider.faults.install([])
        return JSONResponse({})

    async def faults(request: Request) -> Response:
        given = await request.json()
        rules = TypeAdapter(list[Fault]).validate_python(given["rules"])
        provider.faults.install(rules, given.get("seed", 0))
        return JSONResponse({})

    async def flows(request: Request) -> Response:
        state.flows = {f["id"]: Flow(**f) for f in await request.json()}
        return JSONResponse({})

    async def contacts(request: Request) -> Response:
        for given in await request.json():
            state.upsert(given["phone"], given.get("first_name", ""))
        return JSONResponse({})

    async def show(request: Request) -> Response:
        return HTMLResponse(page(state))

    return Starlette(
        routes=[
            Route("/api/{path:path}", provider.call, methods=["GET", "POST"]),
            Route("/admin/inbox", inbox),
            Route("/admin/requests", requests),
            Route("/admin/stats", stats),
            Route("/admin/reset", reset, methods=["POST"]),
            Route("/admin/faults", faults, methods=["POST"]),
            Route("/admin/flows", flows, methods=["POST"]),
            Route("/admin/contacts", contacts, methods=["POST"]),
            Route("/", show),
        ]
    )
