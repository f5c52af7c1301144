"""The simulated provider: what each call of its API returns, and what arrives on a phone."""

import asyncio
import json
import time
from collections import deque
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from simulator.connections import misbehave
from simulator.faults import Faults
from simulator.routes import digits_of, route_of
from simulator.state import Contact, SeenRequest, State

MAX_RECORDED = 200_000
"""Requests that are recorded; a benchmark makes more."""

_RECORDED_HEADERS = ("authorization", "x-access-token", "x-correlation-id", "accept-encoding")


class Provider:
    """The provider's API over a state.

    A send takes effect when its message enters the inbox. `key` is the only valid key. `delay_ms`
    delays each response; more than `rate_per_minute` calls per minute get code 429.
    """

    def __init__(
        self, state: State, key: str, *, delay_ms: int = 0, rate_per_minute: int | None = None
    ) -> None:
        self.state = state
        self.faults = Faults()
        self.calls = 0
        self._key = key
        self._delay_s = delay_ms / 1000
        self._rate = rate_per_minute
        self._recent: deque[float] = deque()

    async def call(self, request: Request) -> Response:
        """Answer one call, or let it go wrong as the first matching fault says."""
        self.calls += 1
        try:
            raw = await request.body()
        except ClientDisconnect:
            # An incomplete request has no effect, and its client is gone.
            return Response(status_code=400)
        path = request.path_params["path"]
        route = route_of(request.method, path)
        body = _read(raw, request.headers.get("content-type", ""))
        if len(self.state.requests) < MAX_RECORDED:
            self.state.requests.append(_recorded(request, route, path, body))
        fault = self.faults.next(route, digits_of(request, path, body))
        if fault and fault.kind == "hold":
            await self.faults.until_replaced()
            fault = None
        if fault is None:
            await asyncio.sleep(self._delay_s)
            return self._respond(request, route, path, body, has_body=bool(raw))
        await asyncio.sleep(fault.delay_ms / 1000)
        regular = Response(b"")
        if fault.effect:
            regular = self._respond(request, route, path, body, has_body=bool(raw))
        return await misbehave(request, fault, regular)

    def _respond(
        self, request: Request, route: str, path: str, body: Any, *, has_body: bool
    ) -> Response:
        state = self.state
        if request.headers.get("x-access-token") != self._key:
            return _error(401, "No valid API key provided.")
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
                flows = state.flows.values()
                return JSONResponse([flow.model_dump(include={"id", "name"}) for flow in flows])
            case "find_contact":
                found = state.find(request.query_params.get("value", "").replace(" ", "+"))
                # Ids are numbers here, and text in the response to a creation.
                data = [state.shown(found)] if found else []
                return JSONResponse({"data": data} if data or len(parts) % 2 else {})
            case "create_contact":
                phone = str(fields.get("phone", ""))
                if not phone:
                    return _error(400, "phone is required")
                contact = state.upsert(phone, str(fields.get("first_name", "")))
                self._run_actions(contact.id, fields.get("actions") or [], correlation_id)
                return JSONResponse({"success": True, "data": {"id": contact.id}})
            case "get_contact":
                known = state.contacts.get(parts[1])
                return JSONResponse(state.shown(known) if known else {"id": "", "first_name": ""})
            case "send_text":
                if not fields.get("text"):
                    return JSONResponse({"success": False, "message": "text is required"})
                state.deliver(parts[1], "text", correlation_id, text=fields["text"])
            case "send_file":
                if fields.get("type") not in ("file", "image", "audio", "video"):
                    return JSONResponse({"success": False, "message": "unknown type"})
                url, type_ = fields.get("url"), fields["type"]
                state.deliver(parts[1], "file", correlation_id, text="", url=url, type=type_)
            case "send_flow":
                if not has_body:
                    return _error(411, "Length Required")
                state.run_flow(parts[1], parts[3], correlation_id)
            case "send_content":
                self._run_actions(parts[1], fields.get("actions") or [], correlation_id)
            case _:
                return self._respond_about_account(route, parts, fields)
        return JSONResponse({"success": True})

    def _respond_about_account(
        self, route: str, parts: list[str], fields: dict[str, Any]
    ) -> Response:
        """Answer a call about custom fields or tags."""
        state = self.state
        match route:
            case "list_custom_fields":
                return JSONResponse([field.model_dump() for field in state.custom_fields])
            case "list_tags":
                return JSONResponse([tag.model_dump() for tag in state.tags.all()])
            case "find_tag":
                named = state.tags.named(parts[3])
                return JSONResponse(named.model_dump()) if named else _error(404, "Not found")
            case "create_tag":
                if not fields.get("name"):
                    return _error(400, "name is required")
                return JSONResponse({"id": state.tags.create(str(fields["name"])).id})
        known = state.contacts.get(parts[1]) if len(parts) > 1 else None
        if known is None:
            return _error(404, "Not found")
        if route == "list_contact_tags":
            return JSONResponse(state.shown(known)["tags"])
        tag = state.tags.get(parts[3]) if route in ("add_tag", "remove_tag") else None
        if tag is None:
            return _error(404, "Not found")
        _set_tag(known, tag.id, carried=route == "add_tag")
        return JSONResponse({"success": True})

    def _run_actions(self, contact_id: str, actions: list[Any], correlation_id: str | None) -> None:
        state = self.state
        for action in actions:
            match action.get("action"):
                case "set_field_value":
                    state.set_field(contact_id, str(action.get("field_name")), action.get("value"))
                case "add_tag" if contact_id in state.contacts:
                    tag = state.tags.create(str(action.get("tag_name")))
                    _set_tag(state.contacts[contact_id], tag.id, carried=True)
                case "send_flow":
                    state.run_flow(contact_id, action.get("flow_id"), correlation_id)

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


def _recorded(request: Request, route: str, path: str, body: Any) -> SeenRequest:
    headers = {name: v for name, v in request.headers.items() if name in _RECORDED_HEADERS}
    return SeenRequest(
        route=route,
        method=request.method,
        path=path,
        query=dict(request.query_params),
        body=body,
        headers=headers,
        at=time.time(),
    )


def _read(raw: bytes, content_type: str) -> Any:
    """Return the body of a request, a form or JSON; None if it is neither."""
    if content_type.startswith("application/x-www-form-urlencoded"):
        return dict(parse_qsl(raw.decode(errors="replace")))
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return None


def _set_tag(contact: Contact, tag_id: int, *, carried: bool) -> None:
    if carried:
        contact.tags.add(tag_id)
    else:
        contact.tags.discard(tag_id)


def _error(code: int, message: str) -> Response:
    """Return an error as the provider sends it: JSON that is served as HTML."""
    body = {"error": {"code": code, "message": message}}
    return Response(json.dumps(body), code, media_type="text/html")
