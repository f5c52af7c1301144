"""The route of webhooks, and the check of their signatures."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from fastapi import FastAPI, Request
from fastapi.responses import Response

from send_whatsapp.client.origin import Origin
from send_whatsapp.gateway.access import Caller
from send_whatsapp.gateway.body import json_body
from send_whatsapp.gateway.messages import MessageRoutes
from send_whatsapp.gateway.openapi import operations
from send_whatsapp.gateway.openapi.parameters import WebhookName
from send_whatsapp.gateway.problems import Problem, invalid_fields
from send_whatsapp.gateway.tokens import Tokens
from send_whatsapp.gateway.webhooks.mapping import InvalidWebhookBody, Webhook
from send_whatsapp.gateway.webhooks.signature import InvalidSignature


class SignedWebhook(NamedTuple):
    """A webhook that needs a signature instead of a token, and its caller."""

    caller: Caller
    webhook: Webhook

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Raise Problem (401) unless the body is signed."""
        try:
            self.webhook.verify(headers, body, datetime.now(UTC))
        except InvalidSignature as error:
            raise Problem(401, str(error), {"WWW-Authenticate": "Signature"}) from None


class WebhookRoutes:
    """The routes under /v1/webhooks."""

    def __init__(
        self, webhooks: Mapping[str, Webhook], messages: MessageRoutes, tokens: Tokens
    ) -> None:
        """Serve `webhooks` by name; `messages` starts and answers what they send.

        `tokens` knows the callers that webhooks name.
        """
        self._webhooks = webhooks
        self._messages = messages
        self._tokens = tokens

    @property
    def signed(self) -> dict[str, SignedWebhook]:
        """The webhooks that need a signature, by their paths. The middleware checks them."""
        return {
            f"/v1/webhooks/{name}": SignedWebhook(
                Caller(f"webhook {name}", may=frozenset({"send"})), webhook
            )
            for name, webhook in self._webhooks.items()
            if webhook.signature
        }

    def add_to(self, app: FastAPI) -> None:
        """Serve the route."""
        app.post("/v1/webhooks/{name}", **operations.POST_WEBHOOK)(self.webhook)

    async def webhook(self, request: Request, name: WebhookName) -> Response:
        """Send what the webhook's mapping makes of the body; 204 if its `when` does not hold."""
        webhook = self._webhooks.get(name)
        if webhook is None:
            raise Problem(404, "No webhook has this name")
        try:
            mapped = webhook.map(name, await json_body(request))
        except InvalidWebhookBody as error:
            title = "The webhook's mapping does not make a valid request of this body"
            raise invalid_fields(title, error.problems) from None
        if mapped is None:
            return Response(status_code=204)
        return await self._messages.send(
            request, mapped.request, mapped.workflow_id, self._origin(webhook, request.state.access)
        )

    def _origin(self, webhook: Webhook, access: Caller) -> Origin:
        """Return the origin of what a webhook sends; `access` is who called it."""
        origin = access.origin
        if webhook.caller is not None:
            callback = self._tokens.callback_of(webhook.caller)
            origin = Origin(caller=webhook.caller, callback=callback)
        # The ids of a webhook that signs or names its caller are its own, whoever owns a run.
        takes_any_run = webhook.caller is not None or webhook.signature is not None
        return origin.model_copy(update={"takes_any_run": takes_any_run})
