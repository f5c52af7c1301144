"""What operators see of a run: search attributes, current details, metrics and log lines."""

from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.preparation import Preparation
    from send_whatsapp.contract import attributes
    from send_whatsapp.contract.request import SendWhatsAppRequest
    from send_whatsapp.contract.result import Outcome, SentAs

SENDS = "send_whatsapp_sends"
TIME_TO_ACCEPTED = "send_whatsapp_time_to_accepted"


def requested_kind(request: SendWhatsAppRequest) -> SentAs:
    """Return what a request asks to send, in the words of `sentAs`."""
    if request.template is not None:
        return "template"
    return "text" if request.file_url is None else "media"


def count(
    kind: SentAs | None,
    outcome: Outcome,
    error_type: str | None = None,
    began: datetime | None = None,
    row: int | None = None,
) -> None:
    """Count a message that has ended, and log it; replays do neither again.

    `kind` is None for an input that is no request; `began` matters to an accepted message; `row` is
    a batch's.
    """
    meter = workflow.metric_meter()
    labels = {"kind": kind or "", "outcome": outcome, "error_type": error_type or ""}
    workflow.logger.info("send ended", extra=labels | ({} if row is None else {"row": row}))
    meter.create_counter(SENDS, "Sends that ended, by kind, outcome and error type").add(1, labels)
    if outcome == "accepted" and began:
        took = max((workflow.now() - began).total_seconds(), 0)
        meter.create_histogram_float(
            TIME_TO_ACCEPTED, "Time from the start of a send to the provider's yes", "seconds"
        ).record(took, {"kind": kind or ""})


class RowRecord:
    """What `deliver` tells of a row; the batch itself shows how its rows stand."""

    def __init__(self, request: SendWhatsAppRequest) -> None:
        """Begin with what the request says."""
        self.kind = requested_kind(request)
        self.to: str | None = None

    def prepared(self, prepared: Preparation) -> None:
        """Note the number."""
        self.to = prepared.to

    def sending(self, kind: SentAs) -> None:
        """Note what is about to be sent."""
        self.kind = kind

    def waits_for(self, what: str, prepared: Preparation | None = None) -> None:
        """Say nothing: a part has hundreds of rows."""


class Record:
    """Tells the operators how one run stands; never a phone number or a text."""

    def __init__(self, request: SendWhatsAppRequest) -> None:
        """Begin with what the request says."""
        self._kind = requested_kind(request)
        self._template = request.template
        start = workflow.info().workflow_start_time
        # A send for later has not begun while it waits for its time.
        self._began = max(start, request.send_at) if request.send_at else start
        self._last4: str | None = None
        self._use_attributes = False
        workflow.logger.info("send begins", extra={"kind": self._kind})

    def prepared(self, prepared: Preparation) -> None:
        """Take the run's own decision whether to use search attributes; show it as running."""
        self._use_attributes = prepared.search_attributes
        self._last4 = prepared.to[-4:] if prepared.to else None
        if not prepared.invalid:
            self._upsert("running", None)

    def sending(self, kind: SentAs) -> None:
        """Note what is about to be sent, which a fallback changes."""
        self._kind = kind

    def waits_for(self, what: str, prepared: Preparation | None = None) -> None:
        """Say what the run waits for, and how often it is tried."""
        policy = ""
        if prepared:
            attempts = prepared.attempts
            policy = (
                f" Tried up to {attempts} times with 1 s, 2 s, 4 s … between;"
                " the pending activity shows the attempt, its last failure and the next time."
                if attempts > 1
                else " Tried once."
            )
        workflow.set_current_details(f"{what}{policy}")

    def ended(self, outcome: Outcome, error_type: str | None = None, said: str = "") -> None:
        """Show the outcome, and count the run once."""
        workflow.set_current_details(f"**{outcome}** {said}".strip())
        self._upsert(outcome, error_type)
        count(self._kind, outcome, error_type, self._began)

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
