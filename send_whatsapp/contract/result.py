"""The result: what the provider accepted, or, for starters that want a value, why it did not."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer
from pydantic.alias_generators import to_camel

SentAs = Literal["text", "template", "media"]
Outcome = Literal["running", "accepted", "failed", "unknown", "cancelled"]
"""How a message stands, in the words of search attributes, gateway and batches."""


class SendError(BaseModel):
    """Why a message was not accepted."""

    type: str
    message: str
    retryable: bool


class SendWhatsAppResult(BaseModel):
    """What came of a send (design: "Contract"). Accepted by the provider is not yet delivered.

    `message_id` is null unless the provider gave one; `timestamp` is UTC, ISO 8601; `error` is
    present where `success` is false only.
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
