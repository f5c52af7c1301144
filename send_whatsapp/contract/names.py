"""Names on the Temporal server: workflow types, signals, memos, and the rules for ids and keys.

Five kinds of workflow ids can never be the same:

    order-4711          a send: the caller's key itself, or a random id without a key
    webhook:shop:4711   a send of the webhook `shop`: the key that its mapping made
    batch-jan-2027      a batch
    batch-jan-2027·1·0  a part of a batch
    callback·RUN-accepted  a callback: the run that it is about, and the event
"""

import re
import uuid
from typing import Final

SEND_WORKFLOW: Final = "SendWhatsApp"
DEFAULT_TASK_QUEUE: Final = "send-whatsapp"

SET_OPT_OUT_WORKFLOW: Final = "SetOptOut"

BATCH_WORKFLOW: Final = "SendWhatsAppBatch"
PART_WORKFLOW: Final = "SendWhatsAppBatchPart"
CALLBACK_WORKFLOW: Final = "SendWhatsAppCallback"
CONTROL_SIGNAL: Final = "control"
PROGRESS_SIGNAL: Final = "progress"
COMPLETE_SIGNAL: Final = "complete"

CALLER_NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$"
"""Names of the gateway's callers and of callbacks, which the memos of runs have."""

CALLBACK_MEMO: Final = "callback"
"""Memo: the name of the callback that hears how the run has ended (docs/callbacks.md)."""

SEND_ACTIVITY_ID: Final = "send"
"""Activity id of the send in every SendWhatsApp run; operators use it in commands."""

START_BEFORE_MEMO: Final = "startBefore"
"""Memo (ISO 8601): a run that Temporal starts after this time must not send."""

STATE_MEMO: Final = "state"
"""Memo of a running batch: its current `BatchState`."""

WITHDRAWN: Final = "withdrawn by the run"
"""Reason of a pause by which a run withdraws its own send."""

SEND_ACTIVITIES: Final = ("send_text", "send_flow", "send_file")
GROUP_ACTIVITY: Final = "send_rows"

MAX_KEY_LENGTH: Final = 200
MAX_BATCH_KEY_LENGTH: Final = 100
MAX_ID_LENGTH: Final = 1000
"""Bytes of a workflow id that Temporal accepts."""

_WEBHOOK_PREFIX: Final = "webhook:"
_BATCH_PREFIX: Final = "batch-"
_CALLBACK_PREFIX: Final = "callback"
_SEPARATOR: Final = "·"
_RESERVED: Final = {_WEBHOOK_PREFIX: "webhooks", _BATCH_PREFIX: "batches"}


class InvalidKey(ValueError):
    """The idempotency key cannot become a workflow id; the message says why."""


def new_workflow_id() -> str:
    """Return a random workflow id for a send without a key."""
    return f"send-{uuid.uuid4()}"


def key_of(id_: str) -> str | None:
    """Return the key of the send that has this workflow id; None if the id is a random one."""
    if re.fullmatch(r"send-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", id_):
        return None
    if id_.startswith(_WEBHOOK_PREFIX):
        return id_.removeprefix(_WEBHOOK_PREFIX).partition(":")[2]
    return id_


def new_opt_out_id() -> str:
    """Return a random workflow id for a change of an opt-out."""
    return f"opt-out-{uuid.uuid4()}"


def workflow_id(key: str) -> str:
    """Return the workflow id of a caller's key, which is the key itself.

    Raises InvalidKey unless the key has 1 to 200 printable ASCII characters and no space at
    either end, and for a key that begins like the ids of webhooks or batches. HTTP headers cannot
    carry more, and a key must mean the same run for every starter.
    """
    for prefix, owner in _RESERVED.items():
        if key.startswith(prefix):
            raise InvalidKey(
                f"a key must not begin with `{prefix}`, since the ids of {owner} do: put something"
                " before it"
            )
    return _checked(key)


def webhook_id(name: str, key: str) -> str:
    """Return the workflow id of what a webhook sends; its `name` has no colon. Raises InvalidKey.

    Webhooks have keys of their own: neither another webhook nor a caller can have the same id.
    """
    return f"{_WEBHOOK_PREFIX}{name}:{_checked(key)}"


def batch_id(key: str) -> str:
    """Return the workflow id of a batch. Raises InvalidKey."""
    if len(key) > MAX_BATCH_KEY_LENGTH:
        raise InvalidKey(f"the key of a batch must have 1 to {MAX_BATCH_KEY_LENGTH} characters")
    return f"{_BATCH_PREFIX}{_checked(key)}"


def part_id(batch: str, generation: int, number: int) -> str:
    """Return the workflow id of a part; `generation` counts the starts of its batch.

    Keys are ASCII (see `workflow_id`), so no send and no other batch can have this id.
    """
    return _SEPARATOR.join((batch, str(generation), str(number)))


def batch_key(id_: str) -> str | None:
    """Return the key of the batch that has this id, or a part with this id; None if none has."""
    batch, _, _ = id_.partition(_SEPARATOR)
    return batch.removeprefix(_BATCH_PREFIX) if batch.startswith(_BATCH_PREFIX) else None


def callback_id(event_id: str) -> str:
    """Return the workflow id of the callback that delivers an event.

    Keys are ASCII (see `workflow_id`), so no send and no batch can have this id.
    """
    return f"{_CALLBACK_PREFIX}{_SEPARATOR}{event_id}"


def callback_task_queue(task_queue: str) -> str:
    """Return the task queue of the callbacks of what another queue sends.

    Callbacks have a queue and places of their own, so that no send waits behind a slow receiver,
    and CGB_MAX_REQUESTS_PER_MINUTE does not count them.
    """
    return f"{task_queue}-callbacks"


def row_activity_id(row: int) -> str:
    """Return the activity id of a row's send in its part."""
    return f"{SEND_ACTIVITY_ID}-{row}"


def group_activity_id(row: int) -> str:
    """Return the activity id of a group of rows in its part, by the number of its first row."""
    return f"rows-{row}"


def _checked(key: str) -> str:
    if not 1 <= len(key) <= MAX_KEY_LENGTH or key != key.strip():
        raise InvalidKey(
            f"a key must have 1 to {MAX_KEY_LENGTH} characters, without a space at either end"
        )
    if not all(" " <= character <= "~" for character in key):
        raise InvalidKey("a key must consist of printable ASCII characters, for example order-4711")
    return key
