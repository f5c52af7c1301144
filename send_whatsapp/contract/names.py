"""The names under which starters and worker find each other on the Temporal server."""

import uuid
from typing import Final

SEND_WORKFLOW: Final = "SendWhatsApp"
DEFAULT_TASK_QUEUE: Final = "send-whatsapp"

BATCH_WORKFLOW: Final = "SendWhatsAppBatch"
PART_WORKFLOW: Final = "SendWhatsAppBatchPart"
CONTROL_SIGNAL: Final = "control"
PROGRESS_SIGNAL: Final = "progress"
COMPLETE_SIGNAL: Final = "complete"

SEND_ACTIVITY_ID: Final = "send"
"""Activity id of the send in every SendWhatsApp run, for an operator's commands."""

START_BEFORE_MEMO: Final = "startBefore"
"""Memo of a run (ISO 8601): taken by Temporal later than this, it must not send."""

STATE_MEMO: Final = "state"
"""Memo of a running batch: how it stands, a `BatchState`."""

SEND_ACTIVITIES: Final = ("send_text", "send_flow", "send_file")

MAX_KEY_LENGTH: Final = 200
MAX_BATCH_KEY_LENGTH: Final = 100


class InvalidKey(ValueError):
    """The idempotency key cannot become a workflow id."""


def new_workflow_id() -> str:
    """Return a fresh workflow id for a send without a key; it says nothing about the recipient."""
    return f"send-{uuid.uuid4()}"


def batch_id(key: str) -> str:
    """Return the workflow id of a batch; raises InvalidKey where it cannot be made."""
    if len(key) > MAX_BATCH_KEY_LENGTH:
        raise InvalidKey(f"a batch's key has 1 to {MAX_BATCH_KEY_LENGTH} characters")
    return f"batch-{workflow_id(key)}"


def part_id(batch: str, generation: int, number: int) -> str:
    """Return the workflow id of a part of a batch's run; `generation` counts its starts.

    A key is ASCII (`workflow_id`), so no other batch and no send can have this id.
    """
    return f"{batch}·{generation}·{number}"


def row_activity_id(row: int) -> str:
    """Return the activity id of a row's send in its part."""
    return f"{SEND_ACTIVITY_ID}-{row}"


def workflow_id(key: str) -> str:
    """Return the workflow id of an idempotency key, which is the key itself.

    Raises InvalidKey unless the key is 1 to 200 printable ASCII characters without blanks at
    either end (the rule of the HTTP gateway, so that one key means one run on every way in).
    """
    if not 1 <= len(key) <= MAX_KEY_LENGTH or key != key.strip():
        raise InvalidKey(
            f"a key has 1 to {MAX_KEY_LENGTH} characters, none of them a blank at an end"
        )
    if not all(" " <= character <= "~" for character in key):
        raise InvalidKey("a key consists of printable ASCII characters, for example order-4711")
    return key
