"""SendWhatsAppBatch: has the parts of a batch send, a few at a time, and shows how they stand."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from datetime import timedelta
from itertools import accumulate
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from activities.parts import PartActivities
    from send_whatsapp.contract import attributes
    from send_whatsapp.contract.batch import (
        BatchCheckpoint,
        BatchRequest,
        BatchState,
        Counts,
        PartControl,
        PartProgress,
        PerMinuteUpdate,
        split,
    )
    from send_whatsapp.contract.names import (
        BATCH_WORKFLOW,
        COMPLETE_SIGNAL,
        CONTROL_SIGNAL,
        PART_WORKFLOW,
        PROGRESS_SIGNAL,
        STATE_MEMO,
        batch_id,
        part_id,
    )
    from workflows import steps

PARTS_AT_ONCE = 4
ROWS_AT_ONCE = 750
"""A part begins while the others have fewer rows than this to end, so that the last rows of one,
which may wait for a retry, do not hold up the batch; at most `MOST_PARTS` of them."""
MOST_PARTS = 20

STEPS_A_RUN = 800
"""Steps after which the batch goes on as a new run: each is at most some seven events, and the
server warns at 10,240. Counted, since what the server suggests may differ in a replay."""

HANDED_OVER_WITHIN = timedelta(hours=1)
LOOK_EVERY_S = 10
TEMPLATES = 100


@workflow.defn(name=BATCH_WORKFLOW)
class SendWhatsAppBatch:
    """Steers its parts; holds no row itself, so that its history stays small at any size."""

    def __init__(self) -> None:
        """Begin without a request."""
        self._request: BatchRequest | None = None
        self._at = BatchCheckpoint()
        self._parts: list[Counts] = []
        self._left: list[Counts] = []
        self._silent: Counter[str] = Counter()
        self._steps = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._use_attributes = False
        self._listed: int | None = None

    @workflow.run
    async def run(self, request: BatchRequest) -> BatchState:
        """Return how many rows ended how."""
        self._at = request.carried or BatchCheckpoint(per_minute=request.per_minute)
        self._plan(request)
        watching = asyncio.create_task(self._watch())
        try:
            await self._work(request)
        except asyncio.CancelledError:
            self._cancel()
            await self._work(request)
        watching.cancel()
        await workflow.wait_condition(self._quiet)
        self._show(now=True)
        return self._state

    def _plan(self, request: BatchRequest) -> None:
        self._parts = request.planned
        # What is left after so many parts have begun, for each number of them.
        left = accumulate(reversed(self._parts), initial=Counts())
        self._left = list(left)[::-1]
        self._request = request

    async def _work(self, request: BatchRequest) -> None:
        prepared = await steps.prepare("", None)
        self._use_attributes = prepared.search_attributes
        self._show(now=True)
        if request.rows and not self._at.complete:
            await self._start_parts(request)
        await self._handed_over()
        if self._at.flows is None:
            self._at.flows = await self._look_up(request.templates)
        while self._at.running or self._at.begun < len(self._parts):
            if self._steps >= STEPS_A_RUN:
                await self._continue(request)
            elif self._next_may_begin():
                self._begin_next()
            else:
                seen = self._steps
                await workflow.wait_condition(lambda: self._steps != seen)  # noqa: B023

    async def _start_parts(self, request: BatchRequest) -> None:
        """Start the parts of rows that came with the request itself."""
        for number, part in enumerate(split(request.rows, [])):
            try:
                await workflow.start_child_workflow(
                    PART_WORKFLOW,
                    part,
                    id=self._name(number),
                    parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                )
            except WorkflowAlreadyStartedError:
                workflow.logger.info("the part is there already")
        self._at.complete = True

    async def _handed_over(self) -> None:
        """Wait until the starter has handed over every part."""
        try:
            await workflow.wait_condition(
                lambda: self._at.complete or self._at.cancelled, timeout=HANDED_OVER_WITHIN
            )
        except TimeoutError:
            self._cancel()

    async def _look_up(self, templates: list[str]) -> dict[str, dict[str, str | None]]:
        """Look each template up once for all; where that fails, each row does so for itself."""
        flows: dict[str, dict[str, str | None]] = {}
        for template in templates[:TEMPLATES]:
            if self._at.cancelled:
                break
            prepared = await steps.prepare("", template)
            try:
                found = await steps.find_flow(template, prepared, steps.SINGLE_SEND)
            except FailureError:
                continue
            if found:
                flows[template] = found.model_dump()
        return flows

    def _next_may_begin(self) -> bool:
        if self._at.begun == len(self._parts) or len(self._at.running) >= MOST_PARTS:
            return False
        if self._at.cancelled:
            return True
        if self._at.paused:
            return False
        if self._at.per_minute is not None:
            return not any(part.waiting for part in self._at.running.values())
        return sum(part.counts.running for part in self._at.running.values()) < ROWS_AT_ONCE

    def _begin_next(self) -> None:
        number = self._at.begun
        counts = self._parts[number]
        name = self._name(number)
        self._at.begun += 1
        self._at.running[name] = PartProgress(part=name, counts=counts, waiting=counts.running)
        self._spawn(self._steer(name))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _steer_all(self) -> None:
        for name in self._at.running:
            self._spawn(self._steer(name))

    async def _steer(self, name: str) -> None:
        """Tell a part to begin or how to go on; one that has ended cannot hear it."""
        request, at = self._known, self._at
        self._steps += 1
        at.told += 1
        beginning = sum(part.waiting > 0 for part in at.running.values())
        steering = PartControl(
            batch=workflow.info().workflow_id,
            number=at.told,
            in_flight=max(1, request.in_flight // PARTS_AT_ONCE),
            per_minute=at.per_minute and at.per_minute / max(1, beginning),
            pause_after=request.pause_after,
            paused=at.paused,
            resumes=at.resumes,
            cancelled=at.cancelled,
            flows=at.flows or {},
        )
        try:
            await workflow.get_external_workflow_handle(name).signal(CONTROL_SIGNAL, steering)
        except FailureError:
            await self._look_after(name)

    async def _look_after(self, name: str) -> None:
        """Ask the server about a part that says nothing: it may have been ended from outside."""
        try:
            # Local, so that looking takes nothing from the account's limit on requests.
            stands = await workflow.execute_local_activity_method(
                PartActivities.part_status,
                name,
                start_to_close_timeout=timedelta(seconds=30),
                retry_policy=RetryPolicy(maximum_attempts=3),
                summary="See how a silent part stands",
            )
        except FailureError:
            workflow.logger.warning("a part could not be looked after, later again")
            return
        if stands.closed and name in self._at.running:
            # One that was never handed over has no rows there, and none of them was sent.
            planned = Counts(cancelled=self._at.running[name].counts.total)
            self._part_ended(name, stands.counts if stands.counts.total else planned)
            self._show()

    def _part_ended(self, name: str, counts: Counts) -> None:
        if self._at.running.pop(name, None):
            self._at.ended += counts
            self._steps += 1

    async def _watch(self) -> None:
        """Look after parts that were silent for two looks, while they have something to say."""
        at = self._at
        while True:
            await workflow.wait_condition(lambda: bool(at.running) and not self._idle)
            await asyncio.sleep(LOOK_EVERY_S)
            self._steps += 1
            for name in () if self._idle else at.running:
                self._silent[name] += 1
                if self._silent[name] > 1:
                    self._spawn(self._look_after(name))

    async def _continue(self, request: BatchRequest) -> None:
        """Go on as a new run: the history is long enough, the parts hear from the new one."""
        await workflow.wait_condition(self._quiet)
        workflow.continue_as_new(
            request.model_copy(update={"rows": [], "parts": self._parts, "carried": self._at}),
            # Without it the new run has the memo that this one began with.
            memo={STATE_MEMO: self._state},
        )

    def _quiet(self) -> bool:
        return not self._tasks and workflow.all_handlers_finished()

    def _cancel(self) -> None:
        self._at.cancelled = True
        self._steps += 1
        self._steer_all()

    @workflow.signal(name=COMPLETE_SIGNAL)
    async def complete(self) -> None:
        """Begin: every part is there."""
        await self._begun()
        self._at.complete = True

    @workflow.update
    async def pause(self, paused: bool) -> BatchState:
        """Stop before the next rows, or go on."""
        await self._begun()
        self._set_paused("an operator asked for it" if paused else None)
        self._show(now=True)
        return self._state

    @workflow.update
    async def rate(self, asked: PerMinuteUpdate) -> BatchState:
        """Begin so many rows a minute from now on; None takes the limit away."""
        await self._begun()
        self._at.per_minute = asked.per_minute
        self._steps += 1
        self._steer_all()
        self._show(now=True)
        return self._state

    @workflow.update
    async def cancel(self) -> BatchState:
        """End; rows that have not begun are not sent."""
        await self._begun()
        self._cancel()
        self._show(now=True)
        return self._state

    @workflow.signal(name=PROGRESS_SIGNAL)
    async def progress(self, told: PartProgress) -> None:
        """Take what a part tells."""
        await self._begun()
        if told.part not in self._at.running:
            return
        self._silent[told.part] = 0
        self._steps += 1
        if told.pause_reason and not self._at.paused:
            self._set_paused(told.pause_reason)
        if told.ended:
            self._part_ended(told.part, told.counts)
        else:
            self._at.running[told.part] = told
        self._show(now=bool(told.pause_reason))

    @property
    def _state(self) -> BatchState:
        request, at = self._known, self._at
        return BatchState(
            key=request.key,
            generation=request.generation,
            counts=sum((p.counts for p in at.running.values()), at.ended + self._left[at.begun]),
            paused=at.paused,
            pause_reason=at.pause_reason,
            cancelled=at.cancelled,
            complete=at.complete,
            per_minute=at.per_minute,
            parts=len(self._parts),
        )

    async def _begun(self) -> None:
        """Wait until the request is read; what is told to a run may arrive before."""
        await workflow.wait_condition(lambda: self._request is not None)

    @property
    def _known(self) -> BatchRequest:
        if self._request is None:
            raise RuntimeError("the batch has not begun")
        return self._request

    def _name(self, number: int) -> str:
        return part_id(batch_id(self._known.key), self._known.generation, number)

    def _set_paused(self, reason: str | None) -> None:
        if not reason and self._at.paused:
            self._at.resumes += 1
        self._at.paused, self._at.pause_reason = reason is not None, reason
        self._steps += 1
        self._steer_all()

    @property
    def _idle(self) -> bool:
        return self._at.paused and not self._at.cancelled

    def _show(self, *, now: bool = False) -> None:
        """Show the progress; on the list page at each percent, or `now`.

        Starters read it from the memo, since a query of a run that hears signals at the same time
        can spoil its replay (ADR 0004).
        """
        state = self._state
        words = state.counts.words()
        if state.paused:
            words += f". Paused, since {state.pause_reason}: `send-whatsapp batch resume` goes on"
        elif not state.complete:
            words += ". Waits for the starter to hand over every row"
        workflow.set_current_details(words)
        workflow.upsert_memo({STATE_MEMO: state})
        percent = state.counts.ended * 100 // max(1, state.counts.total)
        if not self._use_attributes or (percent == self._listed and not now):
            return
        self._listed = percent
        going_on = self._at.running or self._at.begun < len(self._parts)
        workflow.upsert_search_attributes(
            [
                attributes.OUTCOME.value_set("running" if going_on else state.counts.outcome),
                attributes.PROGRESS.value_set(state.counts.words()),
            ]
        )
