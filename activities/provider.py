"""The provider's client, shared by all activities, with one deadline for each attempt."""

from collections.abc import Callable
from dataclasses import dataclass

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.key_monitor import KeyMonitor
from send_whatsapp.cgb.client import Budget, CGBClient
from send_whatsapp.contract.errors import ErrorType

START_TO_CLOSE_MARGIN_S = 3.0
"""The start-to-close timeout is the deadline plus this, so that our own deadline comes first."""


@dataclass(frozen=True)
class Provider:
    """The client, the key (which no message may show), and the time limit in seconds.

    `timeout_s` covers all calls of one attempt together. `on_rate_limit` is called each time the
    provider makes an activity wait.
    """

    client: CGBClient
    key: str
    key_monitor: KeyMonitor
    timeout_s: float
    on_rate_limit: Callable[[], None] = lambda: None

    def budget(self) -> Budget:
        """Return what the current attempt may spend on provider calls."""
        info = activity.info()
        seconds = self.timeout_s
        if info.start_to_close_timeout and not info.is_local:
            # A run keeps the timeouts it started with, even if the setting has grown since.
            allowed = info.start_to_close_timeout.total_seconds() - START_TO_CLOSE_MARGIN_S
            seconds = min(seconds, max(allowed, 0.1))
        return Budget.of(seconds, info.workflow_run_id or "", info.attempt)

    def handle_failure(self, failure: ApplicationError) -> ApplicationError:
        """Count an attempt that a rate limit delays, check a refused key; return the failure."""
        if failure.type == ErrorType.UNAUTHORIZED:
            self.key_monitor.call_was_refused()
        if failure.type == ErrorType.RATE_LIMITED and failure.next_retry_delay:
            self.on_rate_limit()
        return failure
