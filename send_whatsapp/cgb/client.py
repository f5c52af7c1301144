"""Every provider call a send needs: the request, one deadline, one log line, and the answer."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Self

import httpx

from send_whatsapp.cgb import answers
from send_whatsapp.cgb.answers import Account, Answer, Flow
from send_whatsapp.cgb.errors import Unavailable
from send_whatsapp.cgb.transport import LOST, progress, transport

logger = logging.getLogger(__name__)

Observe = Callable[[str, str, float], None]
"""Told of each HTTP call: its route, the status or `lost`, and the seconds it took."""

_CHANNEL = "whatsapp"


@dataclass(frozen=True)
class Budget:
    """What one activity may spend on its calls together.

    `deadline` is a time of the running event loop, in seconds; the correlation id goes out with
    each request and into its log line.
    """

    deadline: float
    correlation_id: str
    attempt: int = 1

    @classmethod
    def of(cls, seconds: float, correlation_id: str, attempt: int = 1) -> Self:
        """Return a budget that ends so many seconds from now."""
        return cls(asyncio.get_running_loop().time() + seconds, correlation_id, attempt)


class CGBClient:
    """The provider's API, one method a call; each raises CGBError and nothing else of its own."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        observe: Observe = lambda route, status, seconds: None,
    ) -> None:
        """Connect to the API at `url` with the account's `key`; nothing is called yet."""
        self._observe = observe
        self._http = httpx.AsyncClient(
            base_url=url,
            # The specification names Bearer; the platform itself reads X-ACCESS-TOKEN.
            headers={
                "Authorization": f"Bearer {key}",
                "X-ACCESS-TOKEN": key,
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": "send-whatsapp",
            },
            # httpx counts its timeouts anew for each phase; the budget's deadline covers the whole.
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
        """Return whose key it is."""
        route = "GET /accounts/me"
        return answers.account(await self._call("check the key", route, "accounts/me", budget))

    async def flows(self, budget: Budget) -> list[Flow]:
        """Return all flows of the account."""
        route = "GET /accounts/flows"
        return answers.flows(await self._call("list the flows", route, "accounts/flows", budget))

    async def find_contact(self, phone: str, budget: Budget) -> str | None:
        """Return the id of the contact stored under exactly this text, or None."""
        answer = await self._call(
            "find the contact",
            "GET /contacts/find_by_custom_field",
            "contacts/find_by_custom_field",
            budget,
            params={"field_id": "phone", "value": phone},
        )
        return answers.found_contact(answer)

    async def create_contact(self, phone: str, first_name: str, budget: Budget) -> str:
        """Create the contact and return its id; for a known phone that contact's (an upsert)."""
        body = {"phone": phone, "first_name": first_name}
        answer = await self._call(
            "create the contact", "POST /contacts", "contacts", budget, json=body
        )
        return answers.created_contact(answer)

    async def send_text(self, contact_id: str, text: str, budget: Budget) -> str | None:
        """Send free text; return the message id, which the provider hardly ever gives."""
        body = {"text": text, "channel": _CHANNEL}
        return await self._send("send the text", "send/text", contact_id, body, budget)

    async def send_file(
        self, contact_id: str, url: str, file_type: str, budget: Budget
    ) -> str | None:
        """Send a file by its URL; `file_type` is one of file, image, audio, video."""
        body = {"url": url, "type": file_type, "channel": _CHANNEL}
        return await self._send("send the file", "send/file", contact_id, body, budget)

    async def send_flow(
        self, contact_id: str, flow_id: str, variables: Mapping[str, str], budget: Budget
    ) -> str | None:
        """Send a flow; its variables, where it has any, are set by the same call, in order."""
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
        answer = await self._call(
            call,
            f"POST /contacts/{{contact_id}}/{route}",
            f"contacts/{contact_id}/{path or route}",
            budget,
            json=body,
        )
        return answers.sent(answer)

    async def _call(
        self,
        call: str,
        route: str,
        path: str,
        budget: Budget,
        *,
        params: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Return the answer of one HTTP call, told to `observe` and the log by its route."""
        method, _, template = route.partition(" ")
        request = self._http.build_request(
            method,
            path,
            params=params,
            json=json,
            headers={"X-Correlation-ID": budget.correlation_id},
        )
        began = time.perf_counter()
        status = "lost"
        try:
            answer = await self._exchange(call, request, budget)
            status = str(answer.status)
            return answer
        finally:
            seconds = time.perf_counter() - began
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

    async def _exchange(self, call: str, request: httpx.Request, budget: Budget) -> Answer:
        """Return the answer; raise Unavailable where none came before the deadline.

        A call that got no connection has sent nothing; after that nobody knows.
        """
        answer: Answer | None = None
        with progress() as told:
            try:
                async with asyncio.timeout_at(budget.deadline):
                    response = await self._http.send(request, stream=True)
                    answer = Answer(call, response.status_code, response.headers, b"")
                    async with aclosing(response):
                        return replace(answer, body=await _body(response))
            except TimeoutError:
                detail = "no answer came in time"
            except LOST:
                detail = "the connection was lost"
        # A status other than 2xx says all that matters, whatever became of its body.
        if answer is not None and not 200 <= answer.status <= 299:
            return answer
        if not told.connected:
            detail = "no connection could be made"
        raise Unavailable(call, detail, unsent=not told.connected)


async def _body(response: httpx.Response) -> bytes:
    """Return the body as it came over the wire, no more than the limit and one chunk."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > answers.MAX_BODY:
            break
    return bytes(body)
