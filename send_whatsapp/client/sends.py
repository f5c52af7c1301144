"""Starting sends under an idempotency key, waiting for them, cancelling them."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.client import Client
from temporalio.common import Priority, TypedSearchAttributes, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from send_whatsapp.client.descriptions import FORCED_MEMO, details, summary
from send_whatsapp.client.errors import (
    DeliveryUnknown,
    KeyConflict,
    KeyInUse,
    NotFound,
    OutcomeUnknown,
    SendFailed,
)
from send_whatsapp.client.origin import Origin
from send_whatsapp.client.start_attributes import of_send, start_with_attributes
from send_whatsapp.client.state import Handle, Started, State, get_state
from send_whatsapp.contract import names
from send_whatsapp.contract.phone import DEFAULT_REGION
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.contract.result import SendWhatsAppResult
from send_whatsapp.temporal.connection import rpc
from send_whatsapp.temporal.history import started_with

logger = logging.getLogger(__name__)


WAKE_SIGNAL = "wake"
"""No workflow handles it; any signal ends the start delay of a run."""


async def send(
    client: Client,
    request: SendWhatsAppRequest,
    *,
    key: str | None = None,
    force: bool = False,
    callback: str | None = None,
    task_queue: str = names.DEFAULT_TASK_QUEUE,
) -> SendWhatsAppResult:
    """Send and wait; return the result of the key's run, started now or earlier.

    The arguments are those of `start_send`. Raises the errors of `start_send` and `get_result`.
    """
    started = await start_send(
        client, request, key=key, force=force, callback=callback, task_queue=task_queue
    )
    return await get_result(client, started.id, run_id=started.run_id)


async def start_send(
    client: Client,
    request: SendWhatsAppRequest,
    *,
    key: str | None = None,
    workflow_id: str | None = None,
    force: bool = False,
    callback: str | None = None,
    task_queue: str = names.DEFAULT_TASK_QUEUE,
    memo: dict[str, Any] | None = None,
    region: str = DEFAULT_REGION,
    now: datetime | None = None,
    origin: Origin | None = None,
) -> Started:
    """Start a send, or find the run under this key; return at once.

    With the same request, a running or accepted run is returned, a failed or cancelled one starts
    again; one whose outcome is unknown, or that was terminated or timed out, starts again only with
    `force`, which the memo of the new run records. `callback` names the callback, in the worker's
    CALLBACKS_FILE, that hears how the run ends. `region` says how to read numbers without `+` when
    two requests are compared. A starter whose keys are not those of callers gives a `workflow_id`
    instead. `now` is the time on Temporal's clock, if the starter knows it; by default, this
    machine's. `origin` says who starts the send; without a caller, a run that starts again keeps
    the caller and the callback of the earlier one. Raises KeyConflict if the key belongs to another
    request, KeyInUse if its run belongs to another caller, OutcomeUnknown, InvalidKey,
    TemporalUnavailable.
    """
    origin = origin or Origin()
    if callback is not None:
        origin = origin.model_copy(update={"callback": callback})
    if workflow_id is None:
        workflow_id = names.workflow_id(key) if key is not None else names.new_workflow_id()
    return await _start_or_find(
        client,
        request,
        workflow_id,
        force,
        task_queue,
        dict(memo or {}),
        region,
        origin,
        now,
    )


async def get_result(
    client: Client, workflow_id: str, *, run_id: str | None = None
) -> SendWhatsAppResult:
    """Wait until the run is closed and return its result.

    Raises DeliveryUnknown if the message may have been sent, SendFailed for any other end without
    the provider's acceptance, NotFound, TemporalUnavailable.
    """
    state = await get_state(client, workflow_id, run_id=run_id, wait=True)
    if state.result is None:
        raise NotFound(f"run {workflow_id} has no result")
    if state.outcome == "unknown":
        raise DeliveryUnknown(state.result)
    if not state.result.success:
        raise SendFailed(state.result)
    return state.result


async def request_cancel(client: Client, state: State) -> None:
    """Ask a run to end; its end says whether it sent the message. Raises TemporalUnavailable."""
    handle: Handle = client.get_workflow_handle(state.id, run_id=state.run_id)
    try:
        async with rpc(client):
            await handle.cancel()
            described = await handle.describe()
            if (described.execution_time or described.start_time) > datetime.now(UTC):
                # The run would see the request only after its start delay.
                await handle.signal(WAKE_SIGNAL)
    except RPCError as error:
        # NOT_FOUND: the run has closed meanwhile.
        if error.status != RPCStatusCode.NOT_FOUND:
            raise


async def get_request(
    client: Client, workflow_id: str, *, run_id: str | None = None
) -> SendWhatsAppRequest | None:
    """Return the request of a run, by default the latest; None if it was invalid."""
    handle = client.get_workflow_handle(workflow_id, run_id=run_id)
    async with rpc(client):
        return await started_with(client, handle, SendWhatsAppRequest)


async def _start_or_find(
    client: Client,
    request: SendWhatsAppRequest,
    workflow_id: str,
    force: bool,
    task_queue: str,
    memo: dict[str, Any],
    region: str,
    origin: Origin,
    now: datetime | None = None,
) -> Started:
    now = now or datetime.now(UTC)
    policy = WorkflowIDReusePolicy.REJECT_DUPLICATE
    memo |= origin.memo()
    again = False
    while True:
        try:
            handle = await _start(
                client, request, workflow_id, policy, task_queue, memo, region, now, origin.priority
            )
        except WorkflowAlreadyStartedError:
            pass
        else:
            started = Started(id=workflow_id, run_id=handle.result_run_id or "", again=again)
            # The id is not logged: a caller's key may be somebody's phone number.
            logger.info("send started", extra={"run_id": started.run_id})
            return started
        existing = await _existing(client, workflow_id, request, region, origin)
        if existing.outcome in ("running", "accepted"):
            return Started(id=workflow_id, run_id=existing.run_id, existing=True)
        memo |= origin.again(existing.origin).memo()
        again = True
        if not existing.needs_force:
            policy = WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY
        elif force:
            policy = WorkflowIDReusePolicy.ALLOW_DUPLICATE
            memo[FORCED_MEMO] = existing.run_id
        elif existing.outcome == "unknown":
            raise OutcomeUnknown(
                f"{workflow_id} may have sent its message: look for it in the provider's inbox, and"
                " start it again with `force` only if it is missing"
            )
        else:
            raise OutcomeUnknown(
                f"{workflow_id} was terminated or timed out before its send, so nothing was sent:"
                " start it again with `force` if the message is still needed"
            )


async def _existing(
    client: Client, workflow_id: str, request: SendWhatsAppRequest, region: str, origin: Origin
) -> State:
    """Return the state of the run under this key.

    Raises KeyConflict if its request differs, and KeyInUse if it belongs to another caller.
    """
    in_use = KeyInUse(f"the key {workflow_id} is in use: nothing was started, use a new key")
    try:
        existing = await get_state(client, workflow_id)
    except NotFound as error:
        if origin.caller is not None:
            raise in_use from None
        raise KeyConflict(f"{error}: nothing was started, use a new key") from None
    if not origin.may_take(existing.origin):
        raise in_use
    before = await get_request(client, workflow_id, run_id=existing.run_id)
    if before is None or not before.is_same_message(request, region):
        raise KeyConflict(
            f"the key {workflow_id} belongs to another request: nothing was started, use a new key"
        )
    return existing


async def _start(
    client: Client,
    request: SendWhatsAppRequest,
    workflow_id: str,
    policy: WorkflowIDReusePolicy,
    task_queue: str,
    memo: dict[str, Any],
    region: str,
    now: datetime,
    priority: Priority,
) -> Handle:
    # A run with a send window starts at once, to say until when it waits or that it expires.
    delay = request.send_at - now if request.send_at else timedelta()

    async def start(attributes: TypedSearchAttributes) -> Handle:
        async with rpc(client):
            return await client.start_workflow(
                names.SEND_WORKFLOW,
                request,
                id=workflow_id,
                task_queue=task_queue,
                result_type=SendWhatsAppResult,
                id_reuse_policy=policy,
                start_delay=delay if delay > timedelta() and not request.send_window else None,
                static_summary=summary(request),
                static_details=details(request, memo),
                memo=memo or None,
                priority=priority,
                search_attributes=attributes,
            )

    return await start_with_attributes(client, of_send(request, region), start)
