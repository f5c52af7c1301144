"""Python client: start a send under an idempotency key, wait for it, ask how it stands."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from pydantic import BaseModel
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
)
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import (
    ApplicationError,
    CancelledError,
    TerminatedError,
    WorkflowAlreadyStartedError,
)
from temporalio.service import RPCError, RPCStatusCode

from send_whatsapp.client.progress import Progress
from send_whatsapp.contract import names
from send_whatsapp.contract.errors import INVALID, RETRYABLE, ErrorType, utc
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.contract.result import Outcome, SendError, SendWhatsAppResult
from send_whatsapp.temporal.connection import NO_ANSWER, TemporalUnavailable, connect, rpc

__all__ = ["TemporalUnavailable", "connect", "get_result", "send", "start_send"]

logger = logging.getLogger(__name__)

Handle = WorkflowHandle[Any, SendWhatsAppResult]

FORCED_MEMO = "forced"
RESEND_MEMO = "resendOf"

WAKE_SIGNAL = "wake"


class NotFound(Exception):
    """No run has this id."""


class KeyConflict(Exception):
    """The key belongs to another request, or to a run that cannot be started again."""


class OutcomeUnknown(KeyConflict):
    """Nobody knows whether the key's run sent its message; only `force` starts it again."""


class SendFailed(Exception):
    """The run ended without the provider's yes; `result` says why, as a value."""

    def __init__(self, result: SendWhatsAppResult) -> None:
        """Carry the result with `success` false."""
        self.result = result
        self.error = result.error or SendError(type="", message="", retryable=False)
        super().__init__(f"{self.error.type}: {self.error.message}")


class DeliveryUnknown(SendFailed):
    """Nobody can know whether the message went out."""


class Started(BaseModel):
    """A run that begins or continues a send; `existing` where the key had one already."""

    id: str
    run_id: str
    existing: bool = False


class State(BaseModel):
    """How a run stands: Temporal's status, our outcome; its progress, or its result once closed."""

    id: str
    run_id: str
    status: str
    outcome: Outcome
    started_at: datetime
    closed_at: datetime | None = None
    progress: Progress | None = None
    result: SendWhatsAppResult | None = None

    @classmethod
    def begun(cls, started: Started) -> Self:
        """Return the state of a run that began a moment ago."""
        return cls(
            id=started.id,
            run_id=started.run_id,
            status="Running",
            outcome="running",
            started_at=datetime.now(UTC),
        )


async def send(
    client: Client,
    request: SendWhatsAppRequest,
    *,
    key: str | None = None,
    force: bool = False,
    task_queue: str = names.DEFAULT_TASK_QUEUE,
) -> SendWhatsAppResult:
    """Send and wait; return the result of the run that the key has, begun now or before.

    Raises what `start_send` and `get_result` raise.
    """
    started = await start_send(client, request, key=key, force=force, task_queue=task_queue)
    return await get_result(client, started.id, run_id=started.run_id)


async def start_send(
    client: Client,
    request: SendWhatsAppRequest,
    *,
    key: str | None = None,
    force: bool = False,
    task_queue: str = names.DEFAULT_TASK_QUEUE,
    memo: dict[str, Any] | None = None,
) -> Started:
    """Start the send, or find the run that the key has; return at once.

    With the same body a running or accepted run is returned as it is, a failed or cancelled one is
    started again, and one whose outcome is unknown only with `force`, which the new run records.
    Raises KeyConflict for another body, OutcomeUnknown, InvalidKey, TemporalUnavailable.
    """
    run_id = names.workflow_id(key) if key is not None else names.new_workflow_id()
    policy = WorkflowIDReusePolicy.REJECT_DUPLICATE
    memo = dict(memo or {})
    while True:
        try:
            handle = await _start(client, request, run_id, policy, task_queue, memo)
            started = Started(id=run_id, run_id=handle.result_run_id or "")
            # Not the id: a caller's key may be anybody's number. The worker's lines have both.
            logger.info("send started", extra={"run_id": started.run_id})
            return started
        except WorkflowAlreadyStartedError:
            pass
        try:
            existing = await get_state(client, run_id)
        except NotFound as error:
            raise KeyConflict(f"{error}: nothing was started, use a new key") from None
        await _same_body(client, existing, request)
        if existing.outcome in ("running", "accepted"):
            return Started(id=run_id, run_id=existing.run_id, existing=True)
        if _may_have_sent(existing):
            if not force:
                raise OutcomeUnknown(
                    f"nobody knows whether {run_id} went out: look for it in the provider's inbox,"
                    " and start it again with --force only if it is missing"
                )
            memo[FORCED_MEMO] = existing.run_id
            policy = WorkflowIDReusePolicy.ALLOW_DUPLICATE
        else:
            policy = WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY


async def get_result(
    client: Client, workflow_id: str, *, run_id: str | None = None
) -> SendWhatsAppResult:
    """Wait until the run is closed and return its result.

    Raises DeliveryUnknown where nobody can know, SendFailed for any other end, NotFound,
    TemporalUnavailable.
    """
    state = await get_state(client, workflow_id, run_id=run_id, wait=True)
    if state.result is None:
        raise NotFound(f"run {workflow_id} has no result")
    if state.outcome == "unknown":
        raise DeliveryUnknown(state.result)
    if not state.result.success:
        raise SendFailed(state.result)
    return state.result


async def get_state(
    client: Client, workflow_id: str, *, run_id: str | None = None, wait: bool = False
) -> State:
    """Return how the run (by default the latest) stands; with `wait` once it is closed.

    Raises NotFound, TemporalUnavailable.
    """
    handle: Handle = client.get_workflow_handle(
        workflow_id, run_id=run_id, result_type=SendWhatsAppResult
    )
    described = await describe(client, handle)
    if described.workflow_type != names.SEND_WORKFLOW:
        raise NotFound(f"the run with the id {workflow_id} is no {names.SEND_WORKFLOW}")
    # From here on one run is meant, also when the id gets another one.
    handle = client.get_workflow_handle(
        workflow_id, run_id=described.run_id, result_type=SendWhatsAppResult
    )
    running = described.status in (None, WorkflowExecutionStatus.RUNNING)
    if running and not wait:
        return _state(described, "running", None)
    outcome, result = await _ending(client, handle)
    if running:
        described = await describe(client, handle)
    return _state(described, outcome, result)


async def describe(client: Client, handle: Handle) -> WorkflowExecutionDescription:
    """Return the server's description of a run. Raises NotFound, TemporalUnavailable."""
    try:
        async with rpc(client):
            return await handle.describe()
    except RPCError as error:
        if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
            raise NotFound(f"no run has the id {handle.id}") from None
        raise


async def cancel(client: Client, workflow_id: str) -> State:
    """Cancel the latest run and return how it ended: cancelled means that nothing was sent.

    A send in flight is waited for. A closed run stays as it is. Raises NotFound,
    TemporalUnavailable.
    """
    state = await get_state(client, workflow_id)
    if state.outcome == "running":
        await request_cancel(client, state)
    return await get_state(client, workflow_id, run_id=state.run_id, wait=True)


async def request_cancel(client: Client, state: State) -> None:
    """Ask a run to end; what becomes of it is its own answer. Raises TemporalUnavailable."""
    handle: Handle = client.get_workflow_handle(state.id, run_id=state.run_id)
    try:
        async with rpc(client):
            await handle.cancel()
            described = await handle.describe()
            if (described.execution_time or described.start_time) > datetime.now(UTC):
                # It has a start delay, and would see the request after it; a signal ends a delay.
                await handle.signal(WAKE_SIGNAL)
    except RPCError as error:
        # Closed in the meantime: then its end is the answer.
        if error.status != RPCStatusCode.NOT_FOUND:
            raise


async def resend(
    client: Client, workflow_id: str, *, task_queue: str = names.DEFAULT_TASK_QUEUE
) -> Started:
    """Start a new run with the request of a closed one, linked to it by its memo.

    Raises NotFound, TemporalUnavailable; KeyConflict while the run is not closed or its request
    cannot be read.
    """
    state = await get_state(client, workflow_id)
    if state.outcome == "running":
        raise KeyConflict(f"{workflow_id} has not ended yet: wait for it or cancel it first")
    request = await get_request(client, state)
    if request is None:
        raise KeyConflict(f"the request of {workflow_id} was malformed: start a correct one")
    again = request.model_copy(update={"send_at": None})
    memo = {RESEND_MEMO: {"id": workflow_id, "runId": state.run_id}}
    return await start_send(client, again, task_queue=task_queue, memo=memo)


async def get_request(client: Client, state: State) -> SendWhatsAppRequest | None:
    """Return what a run was asked to send; None where that was malformed."""
    handle = client.get_workflow_handle(state.id, run_id=state.run_id)
    async with rpc(client):
        async for event in handle.fetch_history_events(page_size=1):
            begun = event.workflow_execution_started_event_attributes
            if begun.workflow_type.name != names.SEND_WORKFLOW or len(begun.input.payloads) != 1:
                return None
            try:
                decoded = await client.data_converter.decode(
                    begun.input.payloads, [SendWhatsAppRequest]
                )
            except ApplicationError:
                return None
            return decoded[0] if isinstance(decoded[0], SendWhatsAppRequest) else None
    return None


def summary(request: SendWhatsAppRequest) -> str:
    """Return one line for the Web UI that names neither the recipient nor the words."""
    if request.template is not None:
        return f"WhatsApp template {request.template[:60]}"
    if request.file_type is not None:
        return f"WhatsApp {request.file_type}"
    return f"WhatsApp text, {len(request.message or ''):,} characters"


async def _start(
    client: Client,
    request: SendWhatsAppRequest,
    workflow_id: str,
    policy: WorkflowIDReusePolicy,
    task_queue: str,
    memo: dict[str, Any],
) -> Handle:
    delay = request.send_at - datetime.now(UTC) if request.send_at else timedelta()
    notes = [f"Delivery: {request.delivery}."]
    if request.send_at:
        notes.append(f"Not to be sent before {utc(request.send_at)}.")
    if request.expires_at:
        notes.append(f"Not to be sent after {utc(request.expires_at)}.")
    if FORCED_MEMO in memo:
        notes.append("Started by force after a run whose outcome is unknown.")
    if RESEND_MEMO in memo:
        notes.append(f"Sends again what {memo[RESEND_MEMO]['id']} was to send.")
    async with rpc(client):
        return await client.start_workflow(
            names.SEND_WORKFLOW,
            request,
            id=workflow_id,
            task_queue=task_queue,
            result_type=SendWhatsAppResult,
            id_reuse_policy=policy,
            start_delay=delay if delay > timedelta() else None,
            static_summary=summary(request),
            static_details=" ".join(notes),
            memo=memo or None,
        )


async def _same_body(client: Client, existing: State, request: SendWhatsAppRequest) -> None:
    before = await get_request(client, existing)
    if before is None or before.body() != request.body():
        raise KeyConflict(
            f"the key {existing.id} belongs to another request: nothing was started, use a new key"
        )


def _may_have_sent(state: State) -> bool:
    return state.outcome == "unknown" or state.status in ("Terminated", "TimedOut")


def _state(
    described: WorkflowExecutionDescription, outcome: Outcome, result: SendWhatsAppResult | None
) -> State:
    return State(
        id=described.id,
        run_id=described.run_id,
        status=status_word(described.status),
        outcome=outcome,
        started_at=described.start_time,
        closed_at=described.close_time,
        progress=Progress.of(described) if outcome == "running" else None,
        result=result,
    )


def status_word(status: WorkflowExecutionStatus | None) -> str:
    """Return Temporal's word for a status, as its CLI and Web UI write it."""
    return "".join(part.title() for part in (status.name if status else "RUNNING").split("_"))


async def _ending(client: Client, handle: Handle) -> tuple[Outcome, SendWhatsAppResult]:
    """Wait for the run's end and return it as a value."""
    try:
        result = await _result(client, handle)
    except WorkflowFailureError as error:
        cause = error.cause
        if isinstance(cause, ApplicationError):
            type_ = cause.type or "Unknown"
            unknown = type_ == ErrorType.DELIVERY_UNKNOWN
            return "unknown" if unknown else "failed", failed_result(type_, cause.message)
        if isinstance(cause, CancelledError):
            return "cancelled", failed_result("Cancelled", "Cancelled, nothing was sent")
        word = "was terminated" if isinstance(cause, TerminatedError) else "timed out"
        if await send_had_begun(handle):
            message = (
                f"The run {word} after a send had begun, so nobody can know whether the message"
                " went out: look for it in the provider's inbox before you send it again"
            )
            return "unknown", failed_result(ErrorType.DELIVERY_UNKNOWN, message)
        message = f"The run {word} before anything was sent: send it again if it matters"
        return "failed", failed_result(
            "Terminated" if isinstance(cause, TerminatedError) else "TimedOut", message
        )
    return "accepted", result


async def _result(client: Client, handle: Handle) -> SendWhatsAppResult:
    while True:
        try:
            return await handle.result()
        except RPCError as error:
            if error.status not in NO_ANSWER:
                raise
            # The long poll was cut: ask whether the server answers at all, then wait on.
            await describe(client, handle)


async def send_had_begun(handle: Handle) -> bool:
    """Return whether the history of a run holds a send that was scheduled."""
    async for event in handle.fetch_history_events():
        name = event.activity_task_scheduled_event_attributes.activity_type.name
        if name in ("send_text", "send_flow", "send_file"):
            return True
    return False


def failed_result(type_: str, message: str) -> SendWhatsAppResult:
    """Return the result of a run without the provider's yes, for starters that want a value."""
    return SendWhatsAppResult(
        success=False, error=SendError(type=type_, message=message, retryable=_retryable(type_))
    )


def is_invalid(result: SendWhatsAppResult) -> bool:
    """Return whether the caller must change the request."""
    return result.error is not None and result.error.type in INVALID


def _retryable(type_: str) -> bool:
    return type_ in RETRYABLE
