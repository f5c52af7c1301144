"""SendWhatsAppBatchPart: some hundred rows of a batch, each sent as a single message is."""

import asyncio
import math
from collections import Counter
from datetime import UTC, datetime, timedelta

from temporalio import workflow
from temporalio.common import Priority
from temporalio.exceptions import ApplicationError, FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.flows import FlowMatch
    from activities.preparation import Preparation
    from send_whatsapp.contract.batch import (
        Counts,
        PartControl,
        PartProgress,
        PartRequest,
        Row,
        RowOutcome,
    )
    from send_whatsapp.contract.errors import ErrorType, utc
    from send_whatsapp.contract.names import (
        CONTROL_SIGNAL,
        PART_WORKFLOW,
        PROGRESS_SIGNAL,
        row_activity_id,
    )
    from send_whatsapp.contract.result import Outcome
    from workflows import steps
    from workflows.send_whatsapp import deliver
    from workflows.sending import is_lost_worker
    from workflows.visibility import RowVisibility, count_send

ROW_PRIORITY = 4
"""Below a single send's 2: one urgent message overtakes a running batch."""

PREPARED_TOGETHER = 50
"""Rows whose numbers and contacts one local activity looks after."""

TELL_EVERY = 25
TELL_AFTER = timedelta(seconds=5)
"""A part tells its batch how it stands after so many rows, or at the next one after this time."""

BEGINS_WITHIN = timedelta(days=90)
"""A part that never hears from its batch ends after this time; nothing is sent."""


@workflow.defn(name=PART_WORKFLOW)
class SendWhatsAppBatchPart:
    """Sends its rows when its batch says so; Completed with an outcome for each of them."""

    def __init__(self) -> None:
        """Begin without rows."""
        self._steering: PartControl | None = None
        self._outcomes: dict[str, RowOutcome] = {}
        self._tally: Counter[str] = Counter()
        self._told = 0, datetime.min.replace(tzinfo=UTC), False
        self._waiting = 0
        self._in_flight: set[asyncio.Task[None]] = set()
        self._allowance = 0
        self._failures = 0
        self._paused_itself: int | None = None
        self._pause_reason: str | None = None
        self._stopped = ""
        self._ended = False

    @workflow.run
    async def run(self, request: PartRequest) -> list[RowOutcome]:
        """Return how each row ended."""
        self._tally.update(known.outcome for known in request.known)
        try:
            await workflow.wait_condition(lambda: self._steering is not None, timeout=BEGINS_WITHIN)
        except TimeoutError:
            self._stopped = "its batch never began"
        except asyncio.CancelledError:
            self._stopped = "its part was cancelled"
        rows = request.unpacked()
        self._waiting = len(rows)
        telling = asyncio.create_task(self._keep_telling())
        try:
            await self._send_all(rows)
        except asyncio.CancelledError:
            self._stopped = "its part was cancelled"
        await self._wind_up(rows)
        self._ended = True
        await telling
        return [*(self._outcomes[row.key] for row in rows), *request.known]

    @workflow.signal(name=CONTROL_SIGNAL)
    def steer(self, steering: PartControl) -> None:
        """Begin, or go on in another way."""
        if self._steering is None or steering.number > self._steering.number:
            self._steering = steering
            self._allowance = 0
            if steering.cancelled:
                self._stopped = self._stopped or "its batch was cancelled"

    @workflow.query
    def outcomes(self) -> list[RowOutcome]:
        """Return the rows that have ended."""
        return list(self._outcomes.values())

    async def _send_all(self, rows: list[Row]) -> None:
        if self._stopped:
            return
        flows = self._known_flows()
        for start in range(0, len(rows), PREPARED_TOGETHER):
            group = rows[start : start + PREPARED_TOGETHER]
            if not await self._room():
                return
            prepared = await steps.prepare_rows([row.request.to for row in group])
            found = [flows.get(row.request.template or "") for row in group]
            for row, ready in zip(group, prepared.each(found), strict=True):
                if not await self._turn():
                    return
                self._waiting -= 1
                task = asyncio.create_task(self._send(row, ready))
                self._in_flight.add(task)
                task.add_done_callback(self._in_flight.discard)
        await workflow.wait_condition(lambda: bool(self._stopped) or not self._in_flight)

    async def _room(self) -> bool:
        """Wait until one more row may be in flight; False once no further row begins."""
        await workflow.wait_condition(
            lambda: (
                bool(self._stopped)
                or (not self._paused and len(self._in_flight) < self._steered.in_flight)
            )
        )
        return not self._stopped

    async def _turn(self) -> bool:
        """Wait for room and for the batch's rate."""
        while await self._room():
            steering = self._steered
            if steering.per_minute is None:
                return True
            if self._allowance > 0:
                self._allowance -= 1
                return True
            # Ticks of about a second, since a timer for each row costs its history five events.
            rows = math.ceil(steering.per_minute / 60)
            if await self._nothing_new_for(rows * 60 / steering.per_minute):
                self._allowance = rows
        return False

    async def _nothing_new_for(self, seconds: float) -> bool:
        """Return whether the part was not steered in another way for so long."""
        before = self._steering
        try:
            await workflow.wait_condition(
                lambda: bool(self._stopped) or self._steering is not before, timeout=seconds
            )
        except TimeoutError:
            return True
        return False

    async def _wind_up(self, rows: list[Row]) -> None:
        """Let nothing begin that has not begun; sends on their way say what became of them."""
        for row in rows[len(rows) - self._waiting :]:
            self._end(row, "cancelled")
        self._waiting = 0
        for task in self._in_flight:
            task.cancel()
        await asyncio.gather(*self._in_flight, return_exceptions=True)

    async def _send(self, row: Row, prepared: Preparation) -> None:
        record = RowVisibility(row.request)
        priority = Priority(priority_key=ROW_PRIORITY, fairness_key=self._steered.batch[:64])
        options = steps.SendOptions(row_activity_id(row.row), priority)
        began = workflow.now()
        outcome: Outcome = "accepted"
        error_type: str | None = None
        worker_was_lost = False
        try:
            result = await deliver(row.request, record, options, prepared)
            self._end(row, outcome, to=result.to, contact_id=result.contact_id)
        except (asyncio.CancelledError, FailureError) as error:
            if is_cancelled_exception(error):
                outcome = "cancelled"
                self._end(row, outcome, to=record.to)
            else:
                failed = error if isinstance(error, ApplicationError) else None
                error_type, said = (failed.type, failed.message) if failed else (None, str(error))
                outcome = "unknown" if error_type == ErrorType.DELIVERY_UNKNOWN else "failed"
                self._end(row, outcome, to=record.to, error_type=error_type, error=said)
                worker_was_lost = failed is not None and is_lost_worker(failed)
        count_send(record.kind, outcome, error_type, began, row.row)
        # A killed worker takes along all it had in flight; that says nothing of the next rows.
        if not worker_was_lost:
            self._watch_failures(outcome, error_type)

    def _watch_failures(self, outcome: Outcome, error_type: str | None) -> None:
        """Pause where going on would burn the rows that are left."""
        self._failures = 0 if outcome in ("accepted", "cancelled") else self._failures + 1
        bad_key = error_type == ErrorType.UNAUTHORIZED
        if self._paused or not (bad_key or self._failures >= self._steered.pause_after):
            return
        self._paused_itself = self._steered.resumes
        self._failures = 0
        self._pause_reason = (
            "the provider refuses the key"
            if bad_key
            else f"{self._steered.pause_after} rows in a row did not go out,"
            f" the last one as {error_type}"
        )

    def _end(
        self,
        row: Row,
        outcome: Outcome,
        *,
        to: str | None = None,
        contact_id: str | None = None,
        error_type: str | None = None,
        error: str | None = None,
    ) -> None:
        if outcome == "cancelled":
            error_type, error = (
                "Cancelled",
                f"Nothing was sent, since {self._stopped or 'it was cancelled'}",
            )
        self._tally[outcome] += 1
        self._outcomes[row.key] = RowOutcome(
            row=row.row,
            key=row.key,
            to=to or row.request.to,
            outcome=outcome,
            contact_id=contact_id,
            error_type=error_type,
            error=error,
            finished_at=utc(workflow.now()),
        )

    async def _keep_telling(self) -> None:
        """Tell the batch how the rows stand; where it is gone, no further row begins."""
        if self._steering is None:
            return
        batch = workflow.get_external_workflow_handle(self._steered.batch)
        last_word = False
        while not last_word:
            await workflow.wait_condition(self._has_news)
            # Not asked again after the signal: rows may all end while it is on its way.
            last_word = self._ended
            self._told = len(self._outcomes), workflow.now(), self._waiting == 0
            progress = PartProgress(
                part=workflow.info().workflow_id,
                counts=Counts(**self._tally, running=self._waiting + len(self._in_flight)),
                waiting=self._waiting,
                pause_reason=self._pause_reason,
                ended=last_word,
            )
            self._pause_reason = None
            try:
                await batch.signal(PROGRESS_SIGNAL, progress)
            except FailureError:
                self._stopped = self._stopped or "its batch was ended from outside"

    def _has_news(self) -> bool:
        ended, at, begun_all = self._told
        return (
            self._ended
            or self._pause_reason is not None
            or (self._waiting == 0 and not begun_all)
            or len(self._outcomes) >= ended + TELL_EVERY
            or (len(self._outcomes) > ended and workflow.now() >= at + TELL_AFTER)
        )

    @property
    def _steered(self) -> PartControl:
        if self._steering is None:
            raise RuntimeError("the part has not begun")
        return self._steering

    @property
    def _paused(self) -> bool:
        return self._steered.paused or self._paused_itself == self._steered.resumes

    def _known_flows(self) -> dict[str, FlowMatch]:
        flows = self._steered.flows
        return {name: FlowMatch.model_validate(found) for name, found in flows.items()}
