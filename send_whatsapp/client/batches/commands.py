"""Control a running batch; needs a running worker."""

import asyncio
from typing import Any

from temporalio.client import Client, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.service import RPCError, RPCStatusCode

from send_whatsapp.client.batches.status import get_status
from send_whatsapp.client.errors import KeyConflict
from send_whatsapp.contract import names
from send_whatsapp.contract.batch import BatchState, PerMinuteUpdate
from send_whatsapp.temporal.connection import TemporalUnavailable, rpc

UPDATE_TIMEOUT_S = 20.0


async def pause(client: Client, key: str) -> BatchState:
    """Start no further row of a running batch; rows in flight end.

    Raises the same errors as `cancel`.
    """
    return await _command(client, key, "pause", True)


async def resume(client: Client, key: str) -> BatchState:
    """Continue a paused batch. Raises the same errors as `cancel`."""
    return await _command(client, key, "pause", False)


async def cancel(client: Client, key: str) -> BatchState:
    """Cancel a running batch: rows that have not started are not sent.

    A row in flight ends as `cancelled` too if it is proven that it was not sent. Raises NotFound,
    KeyConflict if the batch has ended, InvalidKey, TemporalUnavailable.
    """
    return await _command(client, key, "cancel")


async def set_rate(client: Client, key: str, per_minute: int | None) -> BatchState:
    """Start at most `per_minute` rows a minute from now on; None: no limit.

    Raises the same errors as `cancel`.
    """
    return await _command(client, key, "rate", PerMinuteUpdate(per_minute=per_minute))


async def _command(client: Client, key: str, update: str, *arguments: Any) -> BatchState:
    await get_status(client, key)
    handle = client.get_workflow_handle(names.batch_id(key))
    try:
        async with asyncio.timeout(UPDATE_TIMEOUT_S), rpc(client, None):
            state: BatchState = await handle.execute_update(
                update, args=arguments, result_type=BatchState
            )
            return state
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        raise TemporalUnavailable(
            f"No worker accepted the command within {UPDATE_TIMEOUT_S:.0f} s, though one still may:"
            f" check that a worker serves the task queue of the batch {key}, then check its status"
        ) from None
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        status = await get_status(client, key)
        raise KeyConflict(f"the batch {key} has ended: {status.counts.summary()}") from None
