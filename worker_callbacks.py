"""The worker of callbacks, beside the worker of messages in the same process."""

from collections.abc import Mapping
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import PollerBehaviorAutoscaling, UnsandboxedWorkflowRunner, Worker

from activities.callbacks import CallbackActivities
from send_whatsapp.callbacks.file import Callback, load_callbacks
from send_whatsapp.callbacks.receivers import TIMEOUT_S, Receivers
from send_whatsapp.contract.names import callback_task_queue
from send_whatsapp.settings import WorkerSettings
from workflows.send_callback import SendWhatsAppCallback

SHUTDOWN_MARGIN_S = 5
"""Seconds that an attempt gets after its deadline when the worker stops."""


def declared_callbacks(settings: WorkerSettings) -> Mapping[str, Callback]:
    """Return the callbacks of the worker's file by name. Raises SettingsError."""
    return load_callbacks(settings.callbacks_file, allow_private=_allows_private(settings))


def receivers_for(settings: WorkerSettings) -> Receivers:
    """Return what calls the receivers; it opens nothing before the first call."""
    return Receivers(allow_private=_allows_private(settings))


def build_callback_workers(
    client: Client, settings: WorkerSettings, activities: CallbackActivities
) -> list[Worker]:
    """Return the worker of the task queue of callbacks; none without callbacks.

    Events that an earlier worker has started then wait for a worker that knows their callback.
    """
    if not activities.are_declared:
        return []
    worker = Worker(
        client,
        task_queue=callback_task_queue(settings.task_queue),
        workflows=[SendWhatsAppCallback],
        activities=[activities.deliver_event],
        workflow_runner=UnsandboxedWorkflowRunner(),
        workflow_task_poller_behavior=PollerBehaviorAutoscaling(),
        activity_task_poller_behavior=PollerBehaviorAutoscaling(),
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=5),
        graceful_shutdown_timeout=timedelta(seconds=TIMEOUT_S + SHUTDOWN_MARGIN_S),
    )
    return [worker]


def _allows_private(settings: WorkerSettings) -> bool:
    return settings.callbacks_allow_private == "true"
