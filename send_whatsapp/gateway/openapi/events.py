"""What the OpenAPI document says about callbacks: the bodies that receivers get."""

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from send_whatsapp.contract.result import Outcome

_AT = Field(description="when the message or batch ended (UTC, ISO 8601)")


class _Event(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


class MessageEventData(_Event):
    """A message that has ended, and its result."""

    id: str
    run_id: str
    key: str | None = Field(description="the idempotency key; null without one")
    status: Outcome


class MessageEvent(_Event):
    """What became of a message."""

    type: Literal["message.accepted", "message.failed", "message.unknown", "message.cancelled"]
    timestamp: datetime = _AT
    data: MessageEventData


class EventCounts(_Event):
    """How many rows have which outcome."""

    accepted: int
    failed: int
    unknown: int
    cancelled: int
    running: int
    total: int


class BatchEventData(_Event):
    """A batch that has ended; `status` is the worst outcome of a row."""

    id: str
    run_id: str
    key: str
    status: Outcome
    counts: EventCounts


class BatchEvent(_Event):
    """Every row of a batch has an outcome."""

    type: Literal["batch.completed"]
    timestamp: datetime = _AT
    data: BatchEventData


EVENTS: Final = (MessageEvent, BatchEvent)


def event_webhooks(reference: str) -> dict[str, Any]:
    """Return the calls of receivers; `reference` leads to the schema of a `{model}`."""
    schemas = [{"$ref": reference.format(model=event.__name__)} for event in EVENTS]
    headers = {
        "webhook-id": "the id of the event, the same for every attempt",
        "webhook-timestamp": "the time of the attempt, in seconds since 1970",
        "webhook-signature": "signatures as Standard Webhooks says",
    }
    operation = {
        "operationId": "callback",
        "summary": "An event of a message or a batch",
        "description": "The worker calls the URL of a callback (docs/callbacks.md).",
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": description,
                "schema": {"type": "string"},
            }
            for name, description in headers.items()
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"oneOf": schemas}}},
        },
        "responses": {
            "2XX": {"description": "The receiver has the event."},
            "410": {"description": "The receiver wants no more of this event."},
            "default": {"description": "The event is delivered again, for up to 24 hours."},
        },
    }
    return {"callback": {"post": operation}}
