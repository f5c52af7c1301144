"""The result of a send: what the provider accepted, or why it did not."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer
from pydantic.alias_generators import to_camel

SentAs = Literal["text", "template", "media"]
Outcome = Literal["running", "accepted", "failed", "unknown", "cancelled"]
"""Outcome of a message, as search attributes, gateway and batches write it."""


class SendError(BaseModel):
    """Why a message was not accepted."""

    type: str
    message: str
    retryable: bool


class SendWhatsAppResult(BaseModel):
    """Result of a send (docs/request.md). Accepted by the provider does not mean delivered.

    `message_id` is null unless the provider returned one; `timestamp` is UTC, ISO 8601; `error` is
    present only if `success` is false.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")

    success: bool = True
    contact_id: str | None = None
    message_id: str | None = None
    to: str | None = None
    timestamp: str | None = None
    sent_as: SentAs | None = None
    flow_id: str | None = None
    fallback_reason: str | None = None
    error: SendError | None = None

    @model_serializer(mode="wrap")
    def _error_only_on_failure(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = handler(self)
        if self.error is None:
            del fields["error"]
        return fields
