"""The progress of a running send, as read from the server's description of its run."""

import dataclasses
from collections.abc import Sequence

import pytest
from temporalio import exceptions
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.client import WorkflowExecutionDescription
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
)
from temporalio.exceptions import ApplicationError, TimeoutType

from send_whatsapp.client.progress import Progress
from send_whatsapp.contract.converter import data_converter
from send_whatsapp.contract.errors import FailureDetails


class Reversed(PayloadCodec):
    """Encodes payloads so that only a client with this codec can read them."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload(data=payload.SerializeToString()[::-1]) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload.FromString(payload.data[::-1]) for payload in payloads]


ENCODED = dataclasses.replace(
    data_converter,
    payload_codec=Reversed(),
    failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
)


async def described(
    pending: PendingActivityInfo, converter: DataConverter = data_converter
) -> WorkflowExecutionDescription:
    """Return the description of a run with this pending activity."""
    response = DescribeWorkflowExecutionResponse(pending_activities=[pending])
    response.workflow_execution_info.execution.workflow_id = "order 4711"
    return await WorkflowExecutionDescription._from_raw_description(response, "default", converter)


def second_attempt(state: str = "SCHEDULED", *, paused: bool = False) -> PendingActivityInfo:
    """Return the second of four attempts to send a text."""
    pending = PendingActivityInfo(
        activity_id="send",
        attempt=2,
        maximum_attempts=4,
        state=PendingActivityState.Value(f"PENDING_ACTIVITY_STATE_{state}"),
        paused=paused,
    )
    pending.activity_type.name = "send_text"
    pending.last_started_time.GetCurrentTime()
    if state == "SCHEDULED":
        pending.next_attempt_schedule_time.GetCurrentTime()
    return pending


@pytest.mark.parametrize("converter", [data_converter, ENCODED], ids=["plain", "encoded"])
@pytest.mark.parametrize(
    ("failure", "last_failure"),
    [
        (
            ApplicationError("no", FailureDetails(detail="could not send the text: HTTP 503")),
            "could not send the text: HTTP 503",
        ),
        (ApplicationError("no details"), "failed: no details"),
        (ApplicationError("other details", 5), "failed: other details"),
        (
            exceptions.TimeoutError("late", type=TimeoutType.HEARTBEAT, last_heartbeat_details=[]),
            "did not answer in time, perhaps because its worker was lost",
        ),
    ],
)
async def test_the_last_failure_is_read_through_the_clients_data_converter(
    converter: DataConverter, failure: BaseException, last_failure: str
) -> None:
    pending = second_attempt()
    await converter.encode_failure(failure, pending.last_failure)
    progress = await Progress.of(await described(pending, converter))
    assert progress.last_failure == last_failure
    assert f"The previous attempt {last_failure}." in progress.summary


@pytest.mark.parametrize(
    ("pending", "summary"),
    [
        (second_attempt(), "Attempt 2 of 4 to send the text starts at "),
        (second_attempt("STARTED"), "Attempt 2 of 4 to send the text has been running since "),
        (second_attempt("CANCEL_REQUESTED"), "its cancellation was requested."),
        (
            second_attempt(paused=True),
            "Attempt 2 of 4 to send the text is paused by an operator. To continue, run: temporal"
            " activity unpause --workflow-id 'order 4711' --activity-id send",
        ),
    ],
)
async def test_the_summary_describes_the_pending_attempt(
    pending: PendingActivityInfo, summary: str
) -> None:
    progress = await Progress.of(await described(pending))
    assert summary in progress.summary
    assert progress.last_failure is None
    assert (progress.next_attempt_at is not None) == ("starts at" in summary)
