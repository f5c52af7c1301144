"""How the rows of a part ended, according to the events of its history."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
)
from temporalio.exceptions import ApplicationError

from activities.group_sending import GroupRow
from activities.groups import SendRows
from activities.messages import SendText
from activities.retries import RetryLimits
from send_whatsapp.contract.attempts import (
    Accepted,
    AttemptFailure,
    GroupProgress,
    RowEnd,
    window_closed,
)
from send_whatsapp.contract.batch import Row, RowOutcome
from send_whatsapp.contract.converter import data_converter
from send_whatsapp.contract.errors import ErrorType, FailureDetails, failure
from send_whatsapp.contract.names import GROUP_ACTIVITY, group_activity_id, row_activity_id
from send_whatsapp.contract.parts import PartRequest
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.temporal.part_history import (
    UNKNOWN_ERROR,
    UNSENT_ERROR,
    outcomes_in_history,
)

ROW = Row(row=7, key="k7", request=SendWhatsAppRequest(to="+1234567890", message="x"))

GROUP = group_activity_id(ROW.row)
MESSAGE = SendText(
    contact_id="",
    delivery="at_most_once",
    retry=RetryLimits(attempts=1, retry_for_s=0),
    origin_run_id="r",
    text="x",
)


class Scrambled(PayloadCodec):
    """Makes every payload unreadable without this codec."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload(data=payload.SerializeToString()[::-1]) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload.FromString(payload.data[::-1]) for payload in payloads]


SCRAMBLED = replace(
    data_converter,
    payload_codec=Scrambled(),
    failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
)


class History:
    """The history of a part with one row, event by event."""

    def __init__(self, converter: DataConverter) -> None:
        self.converter = converter
        self.events: list[HistoryEvent] = []
        self.pending: list[PendingActivityInfo] = []

    def add(self, **attributes: Any) -> HistoryEvent:
        event = HistoryEvent(event_id=len(self.events) + 1, **attributes)
        event.event_time.FromJsonString("2027-01-31T09:00:00Z")
        self.events.append(event)
        return event

    async def start(self) -> None:
        request = PartRequest.of([ROW])
        input_ = await self.converter.encode_wrapper([request])
        self.add(workflow_execution_started_event_attributes={"input": input_})

    def schedule(self, activity: str = "send_text") -> None:
        self.add(
            activity_task_scheduled_event_attributes={
                "activity_id": row_activity_id(ROW.row),
                "activity_type": {"name": activity},
            }
        )

    async def start_group(self) -> None:
        rows = SendRows(rows=[GroupRow(row=ROW.row, to=ROW.request.to, message=MESSAGE)])
        self.add(
            activity_task_scheduled_event_attributes={
                "activity_id": GROUP,
                "activity_type": {"name": GROUP_ACTIVITY},
                "input": await self.converter.encode_wrapper([rows]),
            }
        )

    async def report(self, progress: GroupProgress) -> None:
        """Let the group be pending with this report."""
        pending = PendingActivityInfo(activity_id=GROUP)
        pending.heartbeat_details.CopyFrom(await self.converter.encode_wrapper([progress]))
        self.pending.append(pending)

    async def time_out(self, *last_report: GroupProgress) -> None:
        details = await self.converter.encode_wrapper(last_report) if last_report else None
        self.add(
            activity_task_timed_out_event_attributes={
                "scheduled_event_id": self.events[-1].event_id,
                "failure": {"timeout_failure_info": {"last_heartbeat_details": details}},
            }
        )

    async def fail(self, error: ApplicationError) -> None:
        encoded = Failure()
        await self.converter.encode_failure(error, encoded)
        self.add(
            activity_task_failed_event_attributes={
                "scheduled_event_id": self.events[-1].event_id,
                "failure": encoded,
            }
        )

    async def outcome(self, *, running: bool = False, **reported: RowOutcome) -> RowOutcome:
        [found] = await outcomes_in_history(
            self.converter, self.events, self.pending, reported, running=running
        )
        assert (found.row, found.key) == (ROW.row, ROW.key)
        return found


@pytest.fixture(params=[data_converter, SCRAMBLED], ids=["in clear", "encrypted"])
async def history(request: pytest.FixtureRequest) -> History:
    found = History(request.param)
    await found.start()
    return found


def retryable(type_: ErrorType, *details: FailureDetails) -> ApplicationError:
    return ApplicationError("said so", *details, type=type_)


@pytest.mark.parametrize(
    ("error", "outcome", "error_type"),
    [
        (failure(ErrorType.PROVIDER_REJECTED, "said so"), "failed", "ProviderRejected"),
        (failure(ErrorType.DELIVERY_UNKNOWN, "said so"), "unknown", "DeliveryUnknown"),
        (retryable(ErrorType.RATE_LIMITED, FailureDetails()), "failed", "RateLimited"),
        (
            retryable(ErrorType.PROVIDER_UNAVAILABLE, FailureDetails(nothing_sent=False)),
            "unknown",
            "DeliveryUnknown",
        ),
        # Nothing proves that it was not sent.
        (retryable(ErrorType.PROVIDER_UNAVAILABLE), "unknown", "DeliveryUnknown"),
        (ApplicationError("said so", type="SomethingElse"), "unknown", "DeliveryUnknown"),
    ],
)
async def test_a_send_that_failed_is_unknown_unless_its_failure_is_clear(
    history: History, error: ApplicationError, outcome: str, error_type: str
) -> None:
    history.schedule()
    await history.fail(error)
    found = await history.outcome()
    assert (found.outcome, found.error_type, found.error) == (outcome, error_type, "said so")
    assert found.finished_at == "2027-01-31T09:00:00Z"


@pytest.mark.parametrize(("running", "outcome"), [(True, "running"), (False, "cancelled")])
async def test_a_send_that_did_not_begin_in_its_window_was_not_sent(
    history: History, running: bool, outcome: str
) -> None:
    history.schedule()
    await history.fail(window_closed())
    assert (await history.outcome(running=running)).outcome == outcome


@pytest.mark.parametrize("running", [True, False])
async def test_an_accepted_send_is_accepted(history: History, running: bool) -> None:
    history.schedule()
    history.add(activity_task_completed_event_attributes={"scheduled_event_id": 2})
    assert (await history.outcome(running=running)).outcome == "accepted"


@pytest.mark.parametrize(
    "end", ["activity_task_timed_out_event_attributes", "activity_task_canceled_event_attributes"]
)
async def test_a_send_that_timed_out_or_was_cancelled_is_unknown(
    history: History, end: str
) -> None:
    history.schedule()
    history.add(**{end: {"scheduled_event_id": 2}})
    found = await history.outcome()
    assert (found.outcome, found.error) == ("unknown", UNKNOWN_ERROR)


@pytest.mark.parametrize(
    ("activity", "running", "outcome", "error"),
    [
        ("send_text", True, "running", None),
        ("send_text", False, "unknown", UNKNOWN_ERROR),
        ("resolve_contact", True, "running", None),
        ("resolve_contact", False, "cancelled", UNSENT_ERROR),
        (None, False, "cancelled", UNSENT_ERROR),
    ],
)
async def test_a_row_whose_send_has_no_end_is_unknown_only_if_the_send_started(
    history: History, activity: str | None, running: bool, outcome: str, error: str | None
) -> None:
    if activity:
        history.schedule(activity)
    found = await history.outcome(running=running)
    assert (found.outcome, found.error) == (outcome, error)
    assert (found.finished_at is None) is running


async def test_what_a_running_part_reports_wins(history: History) -> None:
    said = RowOutcome(row=7, key="k7", to="+1", outcome="failed", error_type="InvalidPhoneNumber")
    assert await history.outcome(running=True, k7=said) == said


AT = "2027-01-31T08:59:58Z"
SENT = RowEnd(row=ROW.row, to="+1234567890", contact_id="1", accepted=Accepted(at=AT))
REFUSED = RowEnd(
    row=ROW.row,
    failed_lookup=AttemptFailure.of(failure(ErrorType.PROVIDER_REJECTED, "said so")),
    failed_at=AT,
)


def progress(*ends: RowEnd, settled: bool = False) -> GroupProgress:
    return GroupProgress(summary="", started_at=AT, settled=settled, ends=list(ends))


@pytest.mark.parametrize(
    ("report", "outcome"),
    [
        pytest.param(None, "cancelled", id="has not reported, so it has sent nothing"),
        pytest.param(progress(), "unknown", id="has started"),
        pytest.param(progress(settled=True), "cancelled", id="is paused before the row"),
        pytest.param(progress(SENT), "accepted", id="has sent it"),
        pytest.param(progress(REFUSED), "failed", id="was refused"),
        pytest.param(
            progress(RowEnd(row=ROW.row, window_closed=True)),
            *("cancelled",),
            id="did not begin in its window",
        ),
    ],
)
@pytest.mark.parametrize("end", ["terminated", "lost"])
async def test_the_last_report_of_a_group_tells_its_rows(
    history: History, end: str, report: GroupProgress | None, outcome: str
) -> None:
    await history.start_group()
    if end == "lost":
        await history.time_out(*[report] if report else [])
        history.add(workflow_execution_terminated_event_attributes={})
    else:
        await history.report(report) if report else history.pending.append(
            PendingActivityInfo(activity_id=GROUP)
        )
        history.add(workflow_execution_terminated_event_attributes={})
    found = await history.outcome()
    assert found.outcome == outcome
    assert found.finished_at == (AT if outcome in ("accepted", "failed") else found.finished_at)
    assert found.finished_at


async def test_a_group_that_is_not_pending_any_more_may_have_sent_its_rows(
    history: History,
) -> None:
    await history.start_group()
    assert (await history.outcome(running=True)).outcome == "running"
    history.add(workflow_execution_terminated_event_attributes={})
    assert (await history.outcome()).outcome == "unknown"


async def test_the_result_of_a_group_tells_its_rows(history: History) -> None:
    await history.start_group()
    history.add(
        activity_task_completed_event_attributes={
            "scheduled_event_id": history.events[-1].event_id,
            "result": await history.converter.encode_wrapper([[SENT]]),
        }
    )
    found = await history.outcome(running=True)
    assert (found.outcome, found.contact_id, found.to) == ("accepted", "1", "+1234567890")


async def test_a_row_that_is_tried_again_ends_as_its_own_send(history: History) -> None:
    await history.start_group()
    await history.time_out(progress())
    history.schedule()
    history.add(
        activity_task_completed_event_attributes={"scheduled_event_id": history.events[-1].event_id}
    )
    assert (await history.outcome()).outcome == "accepted"
