"""A group of rows: their first attempts in one activity, and what its end means for each row."""

import builtins
from collections.abc import Callable, Sequence
from datetime import timedelta

from temporalio import workflow
from temporalio.common import Priority, RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception
from temporalio.exceptions import TimeoutError as AttemptTimedOut
from temporalio.workflow import ActivityCancellationType, ActivityHandle

with workflow.unsafe.imports_passed_through():
    from activities.group_sending import GroupRow
    from activities.groups import GroupActivities, SendRows
    from activities.preparation import RunSettings
    from send_whatsapp.contract.attempts import (
        GROUP_STOPPED,
        NOTHING_STARTED,
        AttemptFailure,
        AttemptRecord,
        FailedAttempt,
        GroupProgress,
        RowEnd,
    )
    from send_whatsapp.contract.errors import (
        FIRST_BACKOFF_S,
        MAX_BACKOFF_S,
        ErrorType,
        FailureDetails,
        delivery_unknown,
        failure,
        utc,
    )
    from send_whatsapp.contract.names import group_activity_id
    from workflows.lost_attempts import CLOSES_WITHIN, LOST_ATTEMPTS, LOST_WORKER, current_task
    from workflows.steps import our_failure

GROUP_MARGIN = timedelta(seconds=15)
"""Added to the start-to-close timeout: its rows share a busy worker, and Temporal may be away."""

FIRST_LOOK_S = 0.7
"""A group that takes longer has a slow row; the rows that have ended are read from its report, so
that others may start in their place."""


class RowGroup:
    """Sends the first attempts of some rows.

    Calls `on_end` once for each row as soon as its end is known. After `is_stopped` no further row
    starts.
    """

    def __init__(
        self,
        rows: Sequence[GroupRow],
        settings: RunSettings,
        priority: Priority,
        *,
        is_stopped: Callable[[], bool],
        on_end: Callable[[RowEnd], None],
    ) -> None:
        self._open = {row.row: row for row in rows}
        self._settings = settings
        self._priority = priority
        self._is_stopped = is_stopped
        self._on_end = on_end
        self._activity_id = group_activity_id(rows[0].row)

    async def run(self) -> None:
        """Send, and return when every row has an end.

        A group whose worker was lost before it confirmed the start has sent nothing, and is started
        again.
        """
        for _ in range(self._settings.retry.attempts):
            if await self._send_once():
                return
        self._end_all(
            failure(
                ErrorType.PROVIDER_UNAVAILABLE,
                "Nothing was sent, because each worker was lost before it sent the message: check"
                " the workers, then send again",
                FailureDetails(),
            )
        )

    async def _send_once(self) -> bool:
        """Start the activity and take its rows; False if it was lost before it sent anything."""
        started_at = utc(workflow.now())
        handle, task = self._start(), current_task()
        await self._until_done_or_stopped(handle)
        stopped: GroupProgress | None = None
        if not handle.done():
            # The server does not know of the group yet if it was started in this workflow task.
            stopped = NOTHING_STARTED if current_task() == task else await self._stop()
            handle.cancel()
            try:
                await workflow.wait_condition(handle.done, timeout=self._timeout + CLOSES_WITHIN)
            except builtins.TimeoutError:
                # The server ignores the timeouts of a group that an operator has paused.
                if progress := await self._read():
                    self._take(progress.ends)
                self._lose_all(started_at)
                return True
        try:
            self._take(await handle)
        except ActivityError as error:
            return self._take_failure(error, stopped, started_at)
        self._leave_all()
        return True

    @property
    def _timeout(self) -> timedelta:
        return timedelta(seconds=self._settings.start_to_close_s) + GROUP_MARGIN

    def _start(self) -> ActivityHandle[list[RowEnd]]:
        rows = list(self._open.values())
        return workflow.start_activity_method(
            GroupActivities.send_rows,
            SendRows(rows=rows),
            activity_id=self._activity_id,
            priority=self._priority,
            start_to_close_timeout=self._timeout,
            # An attempt that was lost is not repeated, because it may have sent rows.
            retry_policy=RetryPolicy(
                initial_interval=timedelta(seconds=FIRST_BACKOFF_S),
                maximum_interval=timedelta(seconds=MAX_BACKOFF_S),
                non_retryable_error_types=list(LOST_ATTEMPTS),
            ),
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=f"Send rows {rows[0].row:,} to {rows[-1].row:,} ({len(rows):,})",
        )

    async def _until_done_or_stopped(self, handle: ActivityHandle[list[RowEnd]]) -> None:
        """Wait for the end of the group; meanwhile take the rows of a slow one that have ended.

        The waits grow with its age, so that a long pause does not fill the history.
        """
        started = workflow.now()
        while True:
            age = (workflow.now() - started).total_seconds()
            try:
                # If one row is left, its end is that of the group.
                await workflow.wait_condition(
                    lambda: handle.done() or self._is_stopped(),
                    timeout=max(FIRST_LOOK_S, age / 2) if len(self._open) > 1 else None,
                )
                return
            except builtins.TimeoutError:
                if progress := await self._read():
                    self._take(progress.ends)

    async def _read(self) -> GroupProgress | None:
        try:
            return await workflow.execute_local_activity_method(
                GroupActivities.read_group,
                self._activity_id,
                start_to_close_timeout=timedelta(seconds=10),
                retry_policy=RetryPolicy(maximum_attempts=1),
                summary="Read which rows of the group have ended",
            )
        except (ActivityError, ApplicationError):
            return None

    async def _stop(self) -> GroupProgress | None:
        """Let no further attempt start; return the last report unless an attempt is in flight."""
        try:
            return await workflow.execute_local_activity_method(
                GroupActivities.stop_group,
                self._activity_id,
                start_to_close_timeout=timedelta(seconds=10),
                retry_policy=RetryPolicy(maximum_attempts=3),
                summary="Stop further attempts of the group",
            )
        except (ActivityError, ApplicationError):
            return None

    def _take(self, ends: Sequence[RowEnd]) -> None:
        for end in ends:
            if self._open.pop(end.row, None):
                self._on_end(end)

    def _take_failure(
        self, error: ActivityError, stopped: GroupProgress | None, started_at: str
    ) -> bool:
        progress, cause = stopped, our_failure(error)
        if isinstance(error.cause, ApplicationError) and error.cause.type == GROUP_STOPPED:
            progress = GroupProgress.model_validate(error.cause.details[0])
        if isinstance(error.cause, AttemptTimedOut):
            details = error.cause.last_heartbeat_details
            if not details:
                return False
            progress = GroupProgress.model_validate(details[0])
        elif cause is not None and not is_cancelled_exception(error):
            self._end_all(cause)
            return True
        if progress is None:
            self._lose_all(started_at)
            return True
        self._take(progress.ends)
        if progress.settled:
            self._leave_all()
        else:
            self._lose_all(progress.started_at)
        return True

    def _leave_all(self) -> None:
        """Take the open rows as not started."""
        self._take([RowEnd(row=row) for row in self._open])

    def _end_all(self, error: ApplicationError) -> None:
        """Take the open rows as ended by the failure of the group."""
        failed = AttemptFailure.of(error)
        self._take([RowEnd(row=row, failed_lookup=failed) for row in self._open])

    def _lose_all(self, since: str) -> None:
        """Take the open rows as lost: each may have been sent."""
        known = AttemptRecord(attempt=1, ambiguous_since=since, ambiguous_attempts=1)
        ends = []
        for row in self._open.values():
            failed = FailedAttempt(failure=self._lost(row, since), known=known)
            ends.append(RowEnd(row=row.row, failed_send=failed))
        self._take(ends)

    def _lost(self, row: GroupRow, since: str) -> AttemptFailure:
        again = row.message.delivery == "at_least_once" and self._settings.retry.attempts > 1
        if not again or self._is_stopped():
            return AttemptFailure.of(delivery_unknown(LOST_WORKER, since))
        return AttemptFailure(
            type=ErrorType.PROVIDER_UNAVAILABLE,
            message=f"The message may have been sent at {since} or later, because {LOST_WORKER};"
            " Temporal retries it",
            details=FailureDetails(nothing_sent=False, ambiguous_since=since, detail=LOST_WORKER),
            retry_delay_s=FIRST_BACKOFF_S,
        )
