"""Webhooks: JSON bodies of other systems, turned into sends by a declared mapping."""

from send_whatsapp.gateway.webhooks.file import dry_run, load_webhooks
from send_whatsapp.gateway.webhooks.mapping import InvalidWebhookBody, MappedRequest, Webhook
from send_whatsapp.gateway.webhooks.signature import InvalidSignature

__all__ = [
    "InvalidSignature",
    "InvalidWebhookBody",
    "MappedRequest",
    "Webhook",
    "dry_run",
    "load_webhooks",
]
