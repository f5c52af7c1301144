"""Sending the message of a closed run again: under its own id, or as a new run."""

from temporalio.client import Client

from send_whatsapp.client.descriptions import RESEND_MEMO
from send_whatsapp.client.errors import KeyConflict
from send_whatsapp.client.origin import Origin
from send_whatsapp.client.sends import get_request, start_send
from send_whatsapp.client.state import Started, get_state
from send_whatsapp.contract import names


async def start_again(
    client: Client,
    workflow_id: str,
    *,
    task_queue: str = names.DEFAULT_TASK_QUEUE,
    origin: Origin | None = None,
) -> Started:
    """Start a failed or cancelled send again with its own request, under its own id.

    If the id has another run meanwhile that is running or accepted, that run is returned. Raises
    the errors of `start_send`, KeyConflict if the request was invalid, and NotFound.
    """
    request = await get_request(client, workflow_id)
    if request is None:
        raise KeyConflict(f"the request of {workflow_id} was invalid: start a correct one")
    return await start_send(
        client, request, workflow_id=workflow_id, task_queue=task_queue, origin=origin
    )


async def resend(
    client: Client,
    workflow_id: str,
    *,
    force: bool = False,
    task_queue: str = names.DEFAULT_TASK_QUEUE,
    origin: Origin | None = None,
) -> Started:
    """Start a new run with the request of a closed one; its memo names the old run.

    The new run belongs to the same caller; `origin` says who starts it, and why.

    Raises KeyConflict if the run is not closed, its request was invalid or, without `force`, the
    provider has accepted its message; NotFound, TemporalUnavailable.
    """
    state = await get_state(client, workflow_id)
    if state.outcome == "accepted" and not force:
        raise KeyConflict(
            f"the message of {workflow_id} was accepted, so the person would get it twice: add"
            " --force if that is what you want"
        )
    if state.outcome == "running":
        raise KeyConflict(f"{workflow_id} is still running: wait for it or cancel it first")
    request = await get_request(client, workflow_id, run_id=state.run_id)
    if request is None:
        raise KeyConflict(f"the request of {workflow_id} was invalid: start a correct one")
    again = request.model_copy(update={"send_at": None})
    memo = {
        RESEND_MEMO: {"id": workflow_id, "runId": state.run_id},
        **(origin or Origin()).again(state.origin).memo(),
    }
    return await start_send(client, again, task_queue=task_queue, memo=memo)
