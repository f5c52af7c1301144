"""Ends attempts whose timeout the server has dropped, so that every run closes."""

import builtins
from collections.abc import Callable
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.preparation import RunSettings
    from activities.sending import SendActivities

CLOSES_WITHIN = timedelta(seconds=5)
"""After its timeout, the time that an attempt in flight gets to end."""

LOST_ATTEMPTS = ("TemporalTimeout:StartToClose", "TemporalTimeout:Heartbeat", "WorkerShutdown")
"""Failures of an attempt that never answered; `at_most_once` allows no further attempt."""

LOST_WORKER = "the worker was lost while it sent the message"


def attempt_timeout(settings: RunSettings) -> timedelta:
    """Return after which time an attempt has ended, if the server keeps its timeouts."""
    return timedelta(seconds=settings.start_to_close_s) + CLOSES_WITHIN


def current_task() -> int:
    """Return what identifies the current workflow task: activities start when it completes."""
    return workflow.info().get_current_history_length()


async def end_overdue_attempts(settings: RunSettings, done: Callable[[], bool]) -> None:
    """Until `done`, make the server end attempts that have outlived their timeout.

    An activity that was paused when its worker died would otherwise stay open after it is resumed.
    The waits grow with the age of the run, so that a long pause does not fill its history.
    """
    started = workflow.now()
    while True:
        age = workflow.now() - started
        try:
            await workflow.wait_condition(done, timeout=max(attempt_timeout(settings), age / 4))
            return
        except builtins.TimeoutError:
            pass
        try:
            await workflow.execute_local_activity_method(
                SendActivities.end_overdue_attempts,
                start_to_close_timeout=timedelta(seconds=10),
                retry_policy=RetryPolicy(maximum_attempts=1),
                summary="End attempts whose worker was lost",
            )
        except (ActivityError, ApplicationError):
            workflow.logger.warning("could not check whether an attempt was lost")
