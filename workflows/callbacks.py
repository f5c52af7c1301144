"""Starts the callback of a run that has ended, if the memo of the run names one."""

import re
from datetime import timedelta

from temporalio import workflow
from temporalio.common import Priority, RetryPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ActivityError, ApplicationError, WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from activities.callbacks import CallbackActivities, WantsEvent
    from send_whatsapp.contract import names
    from send_whatsapp.contract.batch import BatchState
    from send_whatsapp.contract.callback import (
        CallbackEvent,
        batch_event,
        event_name,
        message_event,
    )
    from send_whatsapp.contract.result import Outcome, SendWhatsAppResult
    from workflows.cancellation import finish


async def message_ended(outcome: Outcome, result: SendWhatsAppResult) -> None:
    """Start the callback that tells how this message has ended."""
    if (callback := _callback()) is not None:
        run = workflow.info()
        await _start(
            message_event(callback, run.workflow_id, run.run_id, outcome, result, workflow.now())
        )


async def batch_ended(state: BatchState) -> None:
    """Start the callback that tells how this batch has ended."""
    if (callback := _callback()) is not None:
        run = workflow.info()
        await _start(batch_event(callback, run.workflow_id, run.run_id, state, workflow.now()))


def _callback() -> str | None:
    """Return the name in the memo; None if the run has none, "" if it is not a name."""
    try:
        name = workflow.memo_value(names.CALLBACK_MEMO, None)
    except Exception:  # anybody may start a run with any memo
        return ""
    if name is None:
        return None
    is_name = isinstance(name, str) and re.fullmatch(names.CALLER_NAME_PATTERN, name)
    return name if is_name else ""


async def _start(event: CallbackEvent) -> None:
    """Start the callback of an event, if its receiver wants it.

    A cancellation of the run has no effect meanwhile: the run has its outcome already.
    """
    await finish(_start_if_wanted(event), lambda: None)


async def _start_if_wanted(event: CallbackEvent) -> None:
    if not await _is_wanted(event):
        return
    starting = workflow.start_child_workflow(
        names.CALLBACK_WORKFLOW,
        event,
        id=event.workflow_id,
        task_queue=names.callback_task_queue(workflow.info().task_queue),
        # It goes on after this run has closed. The server would not start it after that, so this
        # run waits until it has started; nobody waits for its end.
        parent_close_policy=workflow.ParentClosePolicy.ABANDON,
        cancellation_type=workflow.ChildWorkflowCancellationType.ABANDON,
        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        # A receiver that hangs holds up its own events only.
        priority=Priority(fairness_key=event.callback),
        static_summary=f"Callback {event.callback}: {event.type}",
        memo={names.CALLBACK_MEMO: event.callback},
    )
    try:
        await starting
    except WorkflowAlreadyStartedError:
        workflow.logger.info("the callback has been started before")


async def _is_wanted(event: CallbackEvent) -> bool:
    """Return whether the receiver wants this event; True if no worker can tell."""
    try:
        return await workflow.execute_local_activity_method(
            CallbackActivities.wants_event,
            WantsEvent(callback=event.callback, event=event_name(event.type)),
            start_to_close_timeout=timedelta(seconds=10),
            retry_policy=RetryPolicy(maximum_attempts=3),
            summary="Read whether the callback wants this event",
        )
    except (ActivityError, ApplicationError):
        return event.callback != ""
