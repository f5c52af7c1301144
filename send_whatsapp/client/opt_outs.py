"""Change whether people have opted out: one `SetOptOut` run for each number."""

from typing import Any

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError

from send_whatsapp.contract import names
from send_whatsapp.contract.errors import RETRYABLE
from send_whatsapp.contract.opt_out import SetOptOutRequest, SetOptOutResult
from send_whatsapp.contract.result import SendError
from send_whatsapp.temporal.connection import rpc

OptOutHandle = WorkflowHandle[Any, SetOptOutResult]


async def start_opt_out(
    client: Client,
    request: SetOptOutRequest,
    *,
    task_queue: str = names.DEFAULT_TASK_QUEUE,
    memo: dict[str, Any] | None = None,
) -> OptOutHandle:
    """Start the change and return its run at once. Raises TemporalUnavailable."""
    async with rpc(client):
        return await client.start_workflow(
            names.SET_OPT_OUT_WORKFLOW,
            request,
            id=names.new_opt_out_id(),
            task_queue=task_queue,
            result_type=SetOptOutResult,
            static_summary="Opt out" if request.opted_out else "Opt in",
            memo=memo,
        )


async def opt_out_result(client: Client, run: OptOutHandle) -> SetOptOutResult | SendError:
    """Wait until the run is closed; return its result, or why it failed.

    Raises TemporalUnavailable.
    """
    try:
        async with rpc(client, None):
            return await run.result()
    except WorkflowFailureError as error:
        cause = error.cause
        if isinstance(cause, ApplicationError):
            type_ = cause.type or "Failed"
            return SendError(type=type_, message=cause.message, retryable=type_ in RETRYABLE)
        type_ = type(cause).__name__.removesuffix("Error")
        message = "The run was ended from outside, so the opt-out may be as before: repeat it"
        return SendError(type=type_, message=message, retryable=True)
