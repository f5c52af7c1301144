"""What operators see of a run: search attributes, current details, metrics and log lines."""

from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.preparation import Preparation
    from send_whatsapp.contract import attributes
    from send_whatsapp.contract.errors import utc
    from send_whatsapp.contract.opening_times import Opening
    from send_whatsapp.contract.request import SendWhatsAppRequest
    from send_whatsapp.contract.result import Outcome, SentAs
    from send_whatsapp.contract.turns import TURN_MEMO

SENDS = "send_whatsapp_sends"
_WAITS_FOR_KEEPER = "Waits for its turn; the keeper of turns has not said yet who is before it."

TIME_TO_ACCEPTED = "send_whatsapp_time_to_accepted"


def count_send(
    kind: SentAs | None,
    outcome: Outcome,
    error_type: str | None = None,
    started: datetime | None = None,
    row: int | None = None,
) -> None:
    """Count and log a send that has ended; neither happens again in a replay.

    `kind` is None for an input that is not a request; `started` is needed for an accepted message;
    `row` is the row of a batch.
    """
    meter = workflow.metric_meter()
    labels = {"kind": kind or "", "outcome": outcome, "error_type": error_type or ""}
    workflow.logger.info("send ended", extra=labels | ({} if row is None else {"row": row}))
    meter.create_counter(SENDS, "Sends that ended, by kind, outcome and error type").add(1, labels)
    if outcome == "accepted" and started:
        seconds = max((workflow.now() - started).total_seconds(), 0)
        meter.create_histogram_float(
            TIME_TO_ACCEPTED, "Time from the start of a send until it was accepted", "seconds"
        ).record(seconds, {"kind": kind or ""})


class RowVisibility:
    """What `deliver` reports about a row of a batch; operators see the batch, not its rows."""

    def __init__(self, request: SendWhatsAppRequest) -> None:
        self.kind = request.requested_kind
        self.to: str | None = None

    def prepared(self, prepared: Preparation) -> None:
        """Keep the number in E.164."""
        self.to = prepared.to

    def sending(self, kind: SentAs) -> None:
        """Keep what is about to be sent."""
        self.kind = kind

    def waits_for(self, what: str, prepared: Preparation | None = None) -> None:
        """Do nothing: a part has hundreds of rows."""

    def waits_for_turn(self, behind: str | None) -> None:
        """Do nothing."""

    def has_turn(self) -> None:
        """Do nothing."""


class RunVisibility:
    """Shows operators the state of one run; never a phone number or a text."""

    def __init__(self, request: SendWhatsAppRequest) -> None:
        self._kind = request.requested_kind
        self._template = request.template
        start = workflow.info().workflow_start_time
        # The time until `sendAt` does not count as time that the send took.
        self._started = max(start, request.send_at) if request.send_at else start
        self._last4: str | None = None
        self._use_attributes = False
        self._turn_memo: str | None = None
        workflow.logger.info("send begins", extra={"kind": self._kind})

    def prepared(self, prepared: Preparation) -> None:
        """Show the run as running; decide for all of its replays whether it has attributes."""
        self._use_attributes = prepared.search_attributes
        self._last4 = prepared.to[-4:] if prepared.to else None
        if not prepared.invalid:
            self._upsert("running", None)

    def sending(self, kind: SentAs) -> None:
        """Keep what is about to be sent, which differs from the request after a fallback."""
        self._kind = kind

    def waits_for(self, what: str, prepared: Preparation | None = None) -> None:
        """Show what the run waits for; with `prepared` also how long that is retried."""
        policy = ""
        if prepared:
            retry = prepared.retry
            until = utc(workflow.now() + timedelta(seconds=retry.retry_for_s))
            policy = (
                f" Retried until {until}, and at least {retry.attempts - 1} times; the pending"
                " activity shows the attempt, its last failure and the next time."
            )
        workflow.set_current_details(f"{what}{policy}")

    def waits_for_turn(self, behind: str | None) -> None:
        """Show behind which run (its workflow id) the run waits for its turn, if that is known."""
        what = f"Waits for its turn behind {behind}." if behind else _WAITS_FOR_KEEPER
        self._waits_long_for(what)

    def waits_for_window(self, opening: Opening) -> None:
        """Show when the send window opens, before which the run sends nothing."""
        # The time until then does not count as time that the send took.
        self._started = max(self._started, opening.opens_at)
        self._waits_long_for(f"Waits until {opening}.")

    def _waits_long_for(self, what: str) -> None:
        """Show what the run waits for without an activity, also to starters, who read the memo."""
        self.waits_for(what)
        if what != self._turn_memo:
            self._turn_memo = what
            workflow.upsert_memo({TURN_MEMO: what})

    def has_turn(self) -> None:
        """Show that the run does not wait for its turn any more."""
        if self._turn_memo is not None:
            self._turn_memo = None
            workflow.upsert_memo({TURN_MEMO: None})

    def ended(self, outcome: Outcome, error: BaseException | None = None) -> None:
        """Show the outcome, and count the run once."""
        failure = error if isinstance(error, ApplicationError) else None
        details = {
            "accepted": "The provider accepted the message; whether it is delivered is not known.",
            "cancelled": "Nothing was sent.",
        }.get(outcome, failure.message if failure else "")
        workflow.set_current_details(f"**{outcome}** {details}")
        error_type = failure.type if failure else None
        self._upsert(outcome, error_type)
        count_send(self._kind, outcome, error_type, self._started)

    def _upsert(self, outcome: Outcome, error_type: str | None) -> None:
        if not self._use_attributes:
            return
        updates = [
            attributes.OUTCOME.value_set(outcome),
            attributes.KIND.value_set(self._kind),
        ]
        if self._template is not None:
            updates.append(attributes.TEMPLATE.value_set(self._template))
        if self._last4 is not None:
            updates.append(attributes.PHONE_LAST4.value_set(self._last4))
        if error_type is not None:
            updates.append(attributes.ERROR_TYPE.value_set(error_type))
        workflow.upsert_search_attributes(updates)
