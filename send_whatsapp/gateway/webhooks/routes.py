"""The route of webhooks: check the signature, map the body, send."""

from collections.abc import Mapping
from datetime import UTC, datetime

from fastapi import FastAPI, Request
from fastapi.responses import Response

from send_whatsapp.gateway import openapi
from send_whatsapp.gateway.body import json_body
from send_whatsapp.gateway.messages import MessageRoutes
from send_whatsapp.gateway.problems import Problem, invalid_fields
from send_whatsapp.gateway.webhooks.mapping import InvalidWebhookBody, Webhook
from send_whatsapp.gateway.webhooks.signature import InvalidSignature


class WebhookRoutes:
    """The routes under /v1/webhooks."""

    def __init__(self, webhooks: Mapping[str, Webhook], messages: MessageRoutes) -> None:
        """Serve `webhooks` by name; `messages` starts and answers what they send."""
        self._webhooks = webhooks
        self._messages = messages

    @property
    def signed_paths(self) -> dict[str, str]:
        """The paths that need a signature instead of a token, each with its caller's name."""
        return {
            f"/v1/webhooks/{name}": f"webhook {name}"
            for name, webhook in self._webhooks.items()
            if webhook.signature
        }

    def add_to(self, app: FastAPI) -> None:
        """Serve the route."""
        app.post("/v1/webhooks/{name}", **openapi.POST_WEBHOOK)(self.webhook)

    async def webhook(self, request: Request, name: str) -> Response:
        """Send what the webhook's mapping makes of the body; 204 if its `when` does not hold."""
        webhook = self._webhooks.get(name)
        if webhook is None:
            raise Problem(404, "No webhook has this name")
        try:
            webhook.verify(request.headers, await request.body(), datetime.now(UTC))
            mapped = webhook.map(name, await json_body(request))
        except InvalidSignature as error:
            raise Problem(401, str(error), {"WWW-Authenticate": "Signature"}) from None
        except InvalidWebhookBody as error:
            title = "The webhook's mapping does not make a valid request of this body"
            raise invalid_fields(title, error.problems) from None
        if mapped is None:
            return Response(status_code=204)
        return await self._messages.send(request, mapped.request, mapped.key)
