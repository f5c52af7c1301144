"""The state of a send: Temporal's status of its run, our outcome, progress and result."""

from datetime import UTC, datetime
from typing import Any, Self

from pydantic import BaseModel
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
)
from temporalio.exceptions import ApplicationError, TerminatedError
from temporalio.service import RPCError, RPCStatusCode

from send_whatsapp.client.errors import NotFound
from send_whatsapp.client.origin import Origin
from send_whatsapp.client.progress import Progress
from send_whatsapp.contract import names
from send_whatsapp.contract.errors import (
    INVALID,
    ErrorType,
    failed_result,
    outcome_of,
    result_of,
)
from send_whatsapp.contract.result import Outcome, SendWhatsAppResult
from send_whatsapp.temporal.connection import NO_ANSWER, rpc
from send_whatsapp.temporal.history import ended_activity, is_window_closed

_ENDED_FROM_OUTSIDE = (WorkflowExecutionStatus.TERMINATED, WorkflowExecutionStatus.TIMED_OUT)

Handle = WorkflowHandle[Any, SendWhatsAppResult]


class Started(BaseModel):
    """The run of a send; `existing` if the key already had this run.

    `again`: the key had a run before, and this one was started because of how that one ended.
    """

    id: str
    run_id: str
    existing: bool = False
    again: bool = False


class State(BaseModel):
    """The state of a run: Temporal's status, our outcome, and progress or (once closed) result.

    `needs_force`: its key starts again only by force, since the outcome is unknown, or the run was
    terminated or timed out. `origin` says who started the run.
    """

    id: str
    run_id: str
    status: str
    outcome: Outcome
    started_at: datetime
    closed_at: datetime | None = None
    progress: Progress | None = None
    result: SendWhatsAppResult | None = None
    needs_force: bool = False
    origin: Origin = Origin()

    @classmethod
    def just_started(cls, started: Started) -> Self:
        """Return the state of a run that started a moment ago."""
        return cls(
            id=started.id,
            run_id=started.run_id,
            status="Running",
            outcome="running",
            started_at=datetime.now(UTC),
        )


async def get_state(
    client: Client, workflow_id: str, *, run_id: str | None = None, wait: bool = False
) -> State:
    """Return the state of a run, by default the latest; with `wait` once it is closed.

    Raises NotFound, TemporalUnavailable.
    """
    handle: Handle = client.get_workflow_handle(
        workflow_id, run_id=run_id, result_type=SendWhatsAppResult
    )
    described = await describe(client, handle)
    if described.workflow_type in (names.BATCH_WORKFLOW, names.PART_WORKFLOW):
        raise NotFound(
            f"{workflow_id} is a batch, not a send: use the commands of send-whatsapp batch"
        )
    if described.workflow_type != names.SEND_WORKFLOW:
        raise NotFound(f"the run with the id {workflow_id} is not a {names.SEND_WORKFLOW}")
    # Follow this run, even if the id gets another one meanwhile.
    handle = client.get_workflow_handle(
        workflow_id, run_id=described.run_id, result_type=SendWhatsAppResult
    )
    running = described.status in (None, WorkflowExecutionStatus.RUNNING)
    if running and not wait:
        return await _state(described, "running", None)
    outcome, result = await _end(client, handle)
    if running:
        described = await describe(client, handle)
    return await _state(described, outcome, result)


async def describe(
    client: Client, handle: WorkflowHandle[Any, Any]
) -> WorkflowExecutionDescription:
    """Return the server's description of a run. Raises NotFound, TemporalUnavailable."""
    if len(handle.id.encode(errors="replace")) > names.MAX_ID_LENGTH:
        # The connection to Temporal fails for a call with a very long id.
        raise NotFound(f"no run can have an id of more than {names.MAX_ID_LENGTH:,} bytes")
    try:
        async with rpc(client):
            return await handle.describe()
    except RPCError as error:
        if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
            raise NotFound(f"no run has the id {handle.id}") from None
        raise


def is_invalid(result: SendWhatsAppResult) -> bool:
    """Return whether the caller must correct the request."""
    return result.error is not None and result.error.type in INVALID


def status_name(status: WorkflowExecutionStatus | None) -> str:
    """Return a status as Temporal's CLI and Web UI write it."""
    return "".join(part.title() for part in (status.name if status else "RUNNING").split("_"))


async def _state(
    described: WorkflowExecutionDescription, outcome: Outcome, result: SendWhatsAppResult | None
) -> State:
    return State(
        id=described.id,
        run_id=described.run_id,
        status=status_name(described.status),
        outcome=outcome,
        started_at=described.start_time,
        closed_at=described.close_time,
        progress=await Progress.of(described) if outcome == "running" else None,
        result=result,
        needs_force=outcome == "unknown" or described.status in _ENDED_FROM_OUTSIDE,
        origin=await Origin.of(described),
    )


async def _end(client: Client, handle: Handle) -> tuple[Outcome, SendWhatsAppResult]:
    """Wait for the end of the run; return its outcome and its result, an error as a value."""
    try:
        return "accepted", await _result(client, handle)
    except WorkflowFailureError as error:
        cause = error.cause
        outcome = outcome_of(cause)
        if outcome == "cancelled" or isinstance(cause, ApplicationError):
            return outcome, result_of(cause)
        return await _ended_from_outside(handle, terminated=isinstance(cause, TerminatedError))


async def _ended_from_outside(
    handle: Handle, *, terminated: bool
) -> tuple[Outcome, SendWhatsAppResult]:
    end = "was terminated" if terminated else "timed out"
    if await _had_scheduled_send(handle):
        return "unknown", failed_result(
            ErrorType.DELIVERY_UNKNOWN,
            f"The run {end} after its send had started, so the message may have been sent: look for"
            " it in the provider's inbox before you send it again",
        )
    return "failed", failed_result(
        "Terminated" if terminated else "TimedOut",
        f"Nothing was sent, because the run {end} before its send: send it again with"
        " `send-whatsapp resend`, or under its key with `--force`",
    )


async def _result(client: Client, handle: Handle) -> SendWhatsAppResult:
    while True:
        try:
            return await handle.result()
        except RPCError as error:
            if error.status not in NO_ANSWER:
                raise
            # The long poll was cut: check that the server answers at all, then keep waiting.
            await describe(client, handle)


async def _had_scheduled_send(handle: Handle) -> bool:
    sends = set[int]()
    async for event in handle.fetch_history_events():
        name = event.activity_task_scheduled_event_attributes.activity_type.name
        if name in names.SEND_ACTIVITIES:
            sends.add(event.event_id)
        elif is_window_closed(event):
            sends.discard(ended_activity(event))
    return bool(sends)
