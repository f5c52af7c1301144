"""The provider calls that a send needs, each with a deadline, a metric and a log line."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Self

import httpx

from send_whatsapp.cgb import account_responses, contact_responses, responses
from send_whatsapp.cgb.account_responses import Account, CustomField, Flow
from send_whatsapp.cgb.body import MAX_BODY
from send_whatsapp.cgb.contact_responses import Contact
from send_whatsapp.cgb.errors import Unavailable
from send_whatsapp.cgb.responses import Response
from send_whatsapp.cgb.transport import TRANSPORT_ERRORS, track_progress, transport

logger = logging.getLogger(__name__)

Observe = Callable[[str, str, float], None]
"""Called after each HTTP call with its route, its status (or `lost`) and its seconds."""

_CHANNEL = "whatsapp"


@dataclass(frozen=True)
class Budget:
    """The deadline and the correlation id of all calls that one attempt of an activity makes.

    `deadline` is a time of the running event loop, in seconds. The correlation id is a header of
    each request and a field of its log line; `attempt` is a field of the log line only.
    """

    deadline: float
    correlation_id: str
    attempt: int = 1

    @classmethod
    def of(cls, seconds: float, correlation_id: str, attempt: int = 1) -> Self:
        """Return a budget with a deadline `seconds` from now."""
        return cls(asyncio.get_running_loop().time() + seconds, correlation_id, attempt)


class CGBClient:
    """The provider's API: one method per call. Each raises CGBError if the call does not succeed.

    `url` is the base URL of the API, `key` the key of the account.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        observe: Observe = lambda route, status, seconds: None,
    ) -> None:
        self._observe = observe
        self._url = url.rstrip("/")
        self._http = httpx.AsyncClient(
            # Both headers carry the key: the platform reads only the second (docs/provider-api.md).
            headers={
                "Authorization": f"Bearer {key}",
                "X-ACCESS-TOKEN": key,
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": "send-whatsapp",
            },
            # httpx has a timeout per phase of a call; the deadline of the budget covers the call.
            timeout=None,
            follow_redirects=False,
            trust_env=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            transport=transport(),
        )

    async def __aenter__(self) -> Self:
        """Open the connection pool."""
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def account(self, budget: Budget) -> Account:
        """Return the account that the key belongs to."""
        path = "accounts/me"
        response = await self.call("check the key", f"GET /{path}", path, budget)
        return account_responses.account(response)

    async def flows(self, budget: Budget) -> list[Flow]:
        """Return all flows of the account."""
        path = "accounts/flows"
        response = await self.call("list the flows", f"GET /{path}", path, budget)
        return account_responses.flows(response)

    async def custom_fields(self, budget: Budget) -> list[CustomField]:
        """Return the custom fields of the account."""
        path = "accounts/custom_fields"
        response = await self.call("list the custom fields", f"GET /{path}", path, budget)
        return account_responses.custom_fields(response)

    async def find_contact(self, phone: str, budget: Budget) -> Contact | None:
        """Return the contact whose phone is exactly `phone`, or None."""
        response = await self.call(
            "find the contact",
            "GET /contacts/find_by_custom_field",
            "contacts/find_by_custom_field",
            budget,
            params={"field_id": "phone", "value": phone},
        )
        return contact_responses.found_contact(response)

    async def create_contact(self, phone: str, first_name: str, budget: Budget) -> Contact:
        """Return a new contact, or the existing contact with this phone."""
        body = {"phone": phone, "first_name": first_name}
        response = await self.call(
            "create the contact", "POST /contacts", "contacts", budget, json=body
        )
        return contact_responses.created_contact(response)

    async def send_text(self, contact_id: str, text: str, budget: Budget) -> str | None:
        """Send free text; return the message id, or None, since the provider rarely gives one."""
        body = {"text": text, "channel": _CHANNEL}
        return await self._send("send the text", "send/text", contact_id, body, budget)

    async def send_file(
        self, contact_id: str, url: str, file_type: str, budget: Budget
    ) -> str | None:
        """Send the file at a URL. `file_type` is `file`, `image`, `audio` or `video`."""
        body = {"url": url, "type": file_type, "channel": _CHANNEL}
        return await self._send("send the file", "send/file", contact_id, body, budget)

    async def send_flow(
        self, contact_id: str, flow_id: str, variables: Mapping[str, str], budget: Budget
    ) -> str | None:
        """Set the variables of a flow and send it, in one call. Returns the message id or None."""
        if not variables:
            path, route = f"send/{flow_id}", "send/{flow_id}"
            return await self._send("send the template", route, contact_id, {}, budget, path)
        actions: list[dict[str, Any]] = [
            {"action": "set_field_value", "field_name": name, "value": value}
            for name, value in variables.items()
        ]
        number = int(flow_id) if flow_id.isascii() and flow_id.isdigit() else flow_id
        actions.append({"action": "send_flow", "flow_id": number})
        body = {"messages": [], "actions": actions, "channel": _CHANNEL}
        return await self._send("send the template", "send_content", contact_id, body, budget)

    async def _send(
        self,
        call: str,
        route: str,
        contact_id: str,
        body: Mapping[str, Any],
        budget: Budget,
        path: str | None = None,
    ) -> str | None:
        response = await self.call(
            call,
            f"POST /contacts/{{contact_id}}/{route}",
            f"contacts/{contact_id}/{path or route}",
            budget,
            json=body,
        )
        return responses.sent(response)

    async def call(
        self,
        call: str,
        route: str,
        path: str,
        budget: Budget,
        *,
        params: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> Response:
        """Make one HTTP call and return its response; log it and pass it to `observe`.

        `call` says what it is to do, `route` has the method and the path without values. Raises
        Unavailable if there is no response.
        """
        method, _, template = route.partition(" ")
        request = self._http.build_request(
            method,
            f"{self._url}/{path}",
            params=params,
            json=json,
            data=form,
            headers={"X-Correlation-ID": budget.correlation_id},
        )
        started = time.perf_counter()
        status = "lost"
        try:
            response = await self._exchange(call, request, budget)
            status = str(response.status)
            return response
        finally:
            seconds = time.perf_counter() - started
            self._observe(route, status, seconds)
            logger.info(
                "provider call",
                extra={
                    "method": method,
                    "route": template,
                    "status": status,
                    "ms": round(seconds * 1000),
                    "correlation_id": budget.correlation_id,
                    "attempt": budget.attempt,
                },
            )

    async def _exchange(self, call: str, request: httpx.Request, budget: Budget) -> Response:
        """Return the response to a request. Raises Unavailable if there is none in time."""
        response: Response | None = None
        with track_progress() as progress:
            try:
                async with asyncio.timeout_at(budget.deadline):
                    stream = await self._http.send(request, stream=True)
                    response = Response(call, stream.status_code, stream.headers, b"")
                    async with aclosing(stream):
                        return replace(response, body=await _read_body(stream))
            except TimeoutError:
                detail = "no response in time"
            except TRANSPORT_ERRORS:
                detail = "the connection was lost"
        # A status other than 2xx decides even if its body did not arrive.
        if response is not None and not 200 <= response.status <= 299:
            return response
        if not progress.connected:
            detail = "could not connect"
        raise Unavailable(call, detail, unsent=not progress.connected)


async def _read_body(response: httpx.Response) -> bytes:
    """Return the body as it was sent, cut off soon after `MAX_BODY` bytes."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_BODY:
            break
    return bytes(body)
