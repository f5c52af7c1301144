"""What operators and starters see of a running batch: current details, memo, search attributes."""

from temporalio import workflow
from temporalio.common import SearchAttributePair, TypedSearchAttributes

with workflow.unsafe.imports_passed_through():
    from send_whatsapp.contract import attributes
    from send_whatsapp.contract.batch import BatchState
    from send_whatsapp.contract.errors import utc
    from send_whatsapp.contract.names import STATE_MEMO
    from send_whatsapp.contract.parts import PartRequest


class BatchVisibility:
    """Shows the state of a batch.

    Starters read it from the memo, because a query of a run that gets signals at the same time can
    break its replay (ADR 0004).
    """

    def __init__(self) -> None:
        self.use_attributes = False
        self._listed_percent: int | None = None

    def show(self, state: BatchState, *, finished: bool, at_once: bool) -> None:
        """Show the state; in the list of runs only with each new percent, or `at_once`."""
        summary = state.counts.summary()
        workflow.set_current_details(f"{summary}{_explanation(state)}")
        workflow.upsert_memo({STATE_MEMO: state})
        percent = state.counts.ended * 100 // max(1, state.counts.total)
        if not self.use_attributes or (percent == self._listed_percent and not at_once):
            return
        self._listed_percent = percent
        workflow.upsert_search_attributes(
            [
                attributes.OUTCOME.value_set(state.counts.outcome if finished else "running"),
                attributes.PROGRESS.value_set(summary),
            ]
        )


def rows_last4(part: PartRequest) -> TypedSearchAttributes:
    """Return the search attribute by which operators find the rows of a part."""
    return TypedSearchAttributes([SearchAttributePair(attributes.ROWS_LAST4, part.last_digits)])


def _explanation(state: BatchState) -> str:
    if state.paused:
        return f". Paused: {state.pause_reason}. `send-whatsapp batch resume` continues it"
    if not state.complete:
        return ". Waits until the starter has started every part"
    if state.send_at and not state.started_at:
        return f". Starts at {state.send_at.isoformat()}"
    waiting = ""
    if state.in_queue:
        waiting += f". {state.in_queue:,} of them wait for their turn"
    if state.retrying:
        waiting += f". {state.retrying:,} of them wait for another attempt: {state.retry_reason}"
    if state.outside_window and state.window_opens_at:
        waiting += (
            f". {state.outside_window:,} of them wait for their send window, the first until"
            f" {utc(state.window_opens_at)}"
        )
    return waiting
