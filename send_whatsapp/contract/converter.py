"""Data converter and interceptor: a malformed input fails its run at once, as `InvalidRequest`."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import temporalio.api.common.v1
from pydantic import ValidationError
from temporalio import workflow
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError
from temporalio.plugin import SimplePlugin
from temporalio.worker import (
    ExecuteWorkflowInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

with workflow.unsafe.imports_passed_through():
    from send_whatsapp.contract.errors import FieldProblem, invalid_request
    from send_whatsapp.contract.model import Request
    from send_whatsapp.contract.request import SendWhatsAppRequest
    from send_whatsapp.contract.validation import problems

_WHOLE_INPUT = "request"


def _not_one_object(problem: str) -> ApplicationError:
    expected = "one JSON object as the only argument"
    return invalid_request([FieldProblem(field=_WHOLE_INPUT, problem=problem, expected=expected)])


class RequestPayloadConverter(PydanticPayloadConverter):
    """Pydantic's converter, with one change: a malformed request fails the run.

    The SDK would fail the workflow task instead, which Temporal retries forever. Other values, such
    as activity results, keep the SDK's behavior: only a request can be corrected by a caller.
    """

    def from_payloads(
        self,
        payloads: Sequence[temporalio.api.common.v1.Payload],
        type_hints: list[type] | None = None,
    ) -> list[Any]:
        """Decode payloads. Raises `InvalidRequest` if a request cannot be decoded.

        The input of `SendWhatsApp` is returned as that failure instead of raised: an error raised
        here ends the run before our interceptor could count it.
        """
        expects_request = type_hints is None or any(_is_request(hint) for hint in type_hints)
        try:
            return super().from_payloads(payloads, type_hints)
        except Exception as error:
            if not expects_request:
                raise
            invalid = (
                invalid_request(problems(error))
                if isinstance(error, ValidationError)
                else _not_one_object("cannot be decoded")
            )
        if type_hints == [SendWhatsAppRequest]:
            return [invalid]
        raise invalid


def _is_request(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Request)


@runtime_checkable
class CountsInvalidInput(Protocol):
    """A workflow class that counts runs whose input is not a request."""

    async def input_is_invalid(self, failure: ApplicationError) -> None:
        """Count the run, which is about to fail with this failure."""


class _RequestInbound(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        count = len(input.args)
        if count == 1 and isinstance(input.args[0], Request):
            return await super().execute_workflow(input)
        if count == 1 and isinstance(input.args[0], ApplicationError):
            failure = input.args[0]
        elif count == 1:
            failure = _not_one_object("is not an object")
        else:
            failure = _not_one_object(f"has {count} arguments" if count else "is missing")
        instance = workflow.instance()
        if isinstance(instance, CountsInvalidInput):
            await instance.input_is_invalid(failure)
        raise failure


class RequestInterceptor(Interceptor):
    """Refuses inputs that never reach pydantic: no argument, two arguments, null, bytes."""

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor]:
        """Return the interceptor of each workflow run."""
        return _RequestInbound


data_converter = DataConverter(payload_converter_class=RequestPayloadConverter)


def contract_plugin() -> SimplePlugin:
    """Return the plugin that every client, worker and replayer of this project needs."""
    return SimplePlugin(
        "send-whatsapp-contract",
        data_converter=data_converter,
        interceptors=[RequestInterceptor()],
    )
