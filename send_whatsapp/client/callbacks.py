"""Replaying callbacks: an event is delivered again, under the id that it has."""

from datetime import UTC, datetime
from typing import NamedTuple

from temporalio.client import Client
from temporalio.common import Priority, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from send_whatsapp.client.batches.status import get_status
from send_whatsapp.client.errors import KeyConflict, NotFound
from send_whatsapp.client.state import describe, get_state
from send_whatsapp.contract import names
from send_whatsapp.contract.callback import CallbackEvent, batch_event, message_event
from send_whatsapp.contract.names import InvalidKey
from send_whatsapp.temporal.connection import rpc
from send_whatsapp.temporal.history import started_with


class Replay(NamedTuple):
    """An event that is delivered again, and the run that delivers it."""

    event: CallbackEvent
    workflow_id: str
    run_id: str


async def replay(client: Client, id_: str, *, task_queue: str = names.DEFAULT_TASK_QUEUE) -> Replay:
    """Deliver the event of a message or a batch again; return at once.

    `id_` is the id (key) of a message, the id or the key of a batch, or the id of an event. The
    attempts start from the beginning, even if the event is still being delivered.

    Raises NotFound if nothing has this id, KeyConflict if it is still running or has no callback,
    TemporalUnavailable.
    """
    event = await _started_event(client, id_)
    if event is None:
        event = await _event_of(client, id_)
        # The receiver gets the event that it has got before, to the letter.
        event = await _started_event(client, event.id) or event
    async with rpc(client):
        handle = await client.start_workflow(
            names.CALLBACK_WORKFLOW,
            event,
            id=event.workflow_id,
            task_queue=names.callback_task_queue(task_queue),
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING,
            priority=Priority(fairness_key=event.callback),
            static_summary=f"Callback {event.callback}: {event.type}",
            memo={names.CALLBACK_MEMO: event.callback},
        )
    return Replay(event, handle.id, handle.result_run_id or "")


async def _started_event(client: Client, id_: str) -> CallbackEvent | None:
    """Return the event with this id, or with this workflow id, if a callback was started for it."""
    for workflow_id in dict.fromkeys((names.callback_id(id_), id_)):
        handle = client.get_workflow_handle(workflow_id)
        try:
            if (await describe(client, handle)).workflow_type != names.CALLBACK_WORKFLOW:
                continue
            async with rpc(client):
                return await started_with(client, handle, CallbackEvent)
        except NotFound:
            continue
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
    return None


async def _event_of(client: Client, id_: str) -> CallbackEvent:
    """Return the event of a message or a batch that is closed."""
    try:
        return await _message_event(client, id_)
    except NotFound as not_found:
        for key in (names.batch_key(id_), id_):
            try:
                if key:
                    return await _batch_event(client, key)
            except (NotFound, InvalidKey):
                continue
        raise not_found


async def _message_event(client: Client, id_: str) -> CallbackEvent:
    state = await get_state(client, id_)
    callback = _callback_of(id_, state.origin.callback)
    if state.result is None or state.closed_at is None:
        raise KeyConflict(f"{id_} is still running: its callback starts when it has ended")
    return message_event(
        callback, state.id, state.run_id, state.outcome, state.result, state.closed_at
    )


async def _batch_event(client: Client, key: str) -> CallbackEvent:
    status = await get_status(client, key)
    callback = _callback_of(key, status.origin.callback)
    if status.running:
        raise KeyConflict(
            f"the batch {key} is still running: its callback starts when it has ended"
        )
    described = await describe(client, client.get_workflow_handle(names.batch_id(key)))
    closed_at = described.close_time or datetime.now(UTC)
    return batch_event(callback, described.id, described.run_id, status, closed_at)


def _callback_of(id_: str, callback: str | None) -> str:
    if callback is None:
        raise KeyConflict(f"{id_} has no callback: nothing is delivered")
    return callback
