"""The input of a run, as the first event of its history holds it."""

from typing import Any

import pytest
from temporalio.api.history.v1 import HistoryEvent, WorkflowExecutionStartedEventAttributes
from temporalio.converter import default
from temporalio.exceptions import ApplicationError

from send_whatsapp.contract.converter import data_converter
from send_whatsapp.contract.model import Request
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.temporal.history import decode_input


class Greeting(Request):
    text: str


async def first_event(*arguments: Any) -> HistoryEvent:
    # Written by another SDK, which knows nothing of our types.
    input_ = await default().encode_wrapper(arguments)
    return HistoryEvent(
        workflow_execution_started_event_attributes=WorkflowExecutionStartedEventAttributes(
            input=input_
        )
    )


@pytest.mark.parametrize(
    ("type_", "body"),
    [(Greeting, {"text": "x"}), (SendWhatsAppRequest, {"to": "+1234567890", "message": "x"})],
)
async def test_the_input_of_a_run_is_read_from_its_first_event(
    type_: type[Request], body: dict[str, str]
) -> None:
    request = await decode_input(data_converter, await first_event(body), type_)
    assert request == type_(**body)


@pytest.mark.parametrize("type_", [Greeting, SendWhatsAppRequest])
@pytest.mark.parametrize(
    "arguments", [(), (None,), (b"x",), ("x",), ({"colour": "red"},), ({"text": "x"}, {})]
)
async def test_an_input_that_is_not_one_valid_request_is_refused(
    type_: type[Request], arguments: tuple[Any, ...]
) -> None:
    event = await first_event(*arguments) if arguments else HistoryEvent()
    with pytest.raises(ApplicationError) as raised:
        await decode_input(data_converter, event, type_)
    assert raised.value.type == "InvalidRequest"
