"""Data converter and interceptor: malformed input ends a run at once, as `InvalidRequest`."""

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
    from send_whatsapp.contract.request import Request, SendWhatsAppRequest, problems

_WHOLE = "request"


def _one_object(problem: str) -> ApplicationError:
    return invalid_request(
        [FieldProblem(field=_WHOLE, problem=problem, expected="one JSON object as only argument")]
    )


class RequestPayloadConverter(PydanticPayloadConverter):
    """Pydantic's converter, with one change: a request that does not decode fails its run.

    Left alone, it would fail the workflow task, which Temporal retries for ever. Activity results
    keep the SDK's errors, since only a request is somebody else's to correct.
    """

    def from_payloads(
        self,
        payloads: Sequence[temporalio.api.common.v1.Payload],
        type_hints: list[type] | None = None,
    ) -> list[Any]:
        """Decode payloads; raise `InvalidRequest` where what stands for a request cannot be.

        The request of a send comes as that failure instead, for its run to raise: what is raised
        here ends a run before any code of ours could count it.
        """
        expects_request = type_hints is None or any(_is_request(hint) for hint in type_hints)
        try:
            return super().from_payloads(payloads, type_hints)
        except Exception as error:
            if not expects_request:
                raise
            refusal = (
                invalid_request(problems(error))
                if isinstance(error, ValidationError)
                else _one_object("cannot be decoded")
            )
        if type_hints == [SendWhatsAppRequest]:
            return [refusal]
        raise refusal


def _is_request(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Request)


@runtime_checkable
class Refusing(Protocol):
    """A workflow that is told, before it fails for it, that its input is no request."""

    def refused(self, refusal: ApplicationError) -> None:
        """Take note; the run ends with this failure."""


class _RequestInbound(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        count = len(input.args)
        if count == 1 and isinstance(input.args[0], Request):
            return await super().execute_workflow(input)
        refusal = (
            input.args[0]
            if count == 1 and isinstance(input.args[0], ApplicationError)
            else _one_object(
                "is missing" if not count else f"comes as {count} arguments or as no object"
            )
        )
        run = workflow.instance()
        if isinstance(run, Refusing):
            run.refused(refusal)
        raise refusal


class RequestInterceptor(Interceptor):
    """Refuses what never reaches pydantic: no argument, two, null, bytes."""

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor]:
        """Return the interceptor of each workflow run."""
        return _RequestInbound


data_converter = DataConverter(payload_converter_class=RequestPayloadConverter)


def contract_plugin() -> SimplePlugin:
    """Return the plugin that every client, worker and replayer of this project takes."""
    return SimplePlugin(
        "send-whatsapp-contract",
        data_converter=data_converter,
        interceptors=[RequestInterceptor()],
    )
