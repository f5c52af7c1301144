"""Callbacks: the events that tell a receiver what became of a message or a batch."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from send_whatsapp.contract import names
from send_whatsapp.contract.batch import BatchState
from send_whatsapp.contract.model import Request
from send_whatsapp.contract.result import Outcome, SendWhatsAppResult

EventName = Literal["accepted", "failed", "unknown", "cancelled", "batch"]
"""An event as the file of callbacks lists it."""

BATCH_TYPE: Final = "batch.completed"


class CallbackEvent(Request):
    """One event: input of the workflow `SendWhatsAppCallback`, and what the receiver gets.

    `id` is made of the run that the event is about and of the event, so that an event never has two
    ids. `callback` is the name of the callback in the worker's file.
    """

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,200}$")]
    callback: str
    type: str
    timestamp: str
    data: dict[str, Any]

    @property
    def body(self) -> str:
        """The body of the POST, the same text for each attempt."""
        fields = self.model_dump(mode="json", include={"type", "timestamp", "data"})
        return json.dumps(fields)

    @property
    def workflow_id(self) -> str:
        """The workflow id of the callback."""
        return names.callback_id(self.id)


def event_name(type_: str) -> str:
    """Return the name under which the file of callbacks lists events of this type."""
    return "batch" if type_ == BATCH_TYPE else type_.rpartition(".")[2]


def message_event(
    callback: str,
    workflow_id: str,
    run_id: str,
    outcome: Outcome,
    result: SendWhatsAppResult,
    at: datetime,
) -> CallbackEvent:
    """Return the event of a message whose run ended `at` this time."""
    return CallbackEvent(
        id=f"{run_id}-{outcome}",
        callback=callback,
        type=f"message.{outcome}",
        timestamp=_iso(at),
        data={
            "id": workflow_id,
            "runId": run_id,
            "key": names.key_of(workflow_id),
            "status": outcome,
            "result": result.model_dump(mode="json", by_alias=True),
        },
    )


def batch_event(
    callback: str, workflow_id: str, run_id: str, state: BatchState, at: datetime
) -> CallbackEvent:
    """Return the event of a batch whose run ended `at` this time."""
    return CallbackEvent(
        id=f"{run_id}-completed",
        callback=callback,
        type=BATCH_TYPE,
        timestamp=_iso(at),
        data={
            "id": workflow_id,
            "runId": run_id,
            "key": state.key,
            "status": state.counts.outcome,
            "counts": state.counts.model_dump() | {"total": state.counts.total},
        },
    )


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
