"""SendWhatsApp: the whole story of one message, on one page."""

import asyncio
from collections.abc import Awaitable
from datetime import datetime
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.contacts import Contact
    from activities.flows import FlowMatch
    from activities.messages import Send, SendFile, SendFlow, SendText
    from activities.preparation import Preparation
    from send_whatsapp.contract.errors import ErrorType, expired, failure
    from send_whatsapp.contract.names import SEND_WORKFLOW, START_BEFORE_MEMO
    from send_whatsapp.contract.request import SendWhatsAppRequest
    from send_whatsapp.contract.result import SendWhatsAppResult, SentAs
    from workflows import steps
    from workflows.record import Record, RowRecord, count

T = TypeVar("T")


@workflow.defn(name=SEND_WORKFLOW)
class SendWhatsApp:
    """Sends one message. Completed: the provider accepted it. Failed: not, or nobody knows."""

    @workflow.run
    async def run(self, request: SendWhatsAppRequest) -> SendWhatsAppResult:
        """Return what the provider accepted; fail as one of `ErrorType`, or end as cancelled."""
        record = Record(request)
        try:
            check_start()
            result = await deliver(request, record)
        except (asyncio.CancelledError, FailureError) as error:
            if is_cancelled_exception(error):
                record.ended("cancelled", said="Nothing was sent.")
            elif isinstance(error, ApplicationError):
                unknown = error.type == ErrorType.DELIVERY_UNKNOWN
                record.ended("unknown" if unknown else "failed", error.type, error.message)
            raise
        record.ended("accepted", said="The provider took the message; delivery is not known.")
        return result

    def refused(self, refusal: ApplicationError) -> None:
        """Count a run whose input is no request, so that `run` never begins."""
        count(None, "failed", refusal.type)


def check_start() -> None:
    """Fail where Temporal took the run after its starter had told the caller that it would not."""
    before = workflow.memo_value(START_BEFORE_MEMO, None, type_hint=str)
    if before and workflow.info().workflow_start_time > datetime.fromisoformat(before):
        raise failure(
            ErrorType.EXPIRED,
            "Not sent, because Temporal took it after its caller had been told that Temporal does"
            " not answer: send it again if the caller did not (where this is wrong, the clocks of"
            " gateway and Temporal differ)",
        )


async def deliver(
    request: SendWhatsAppRequest,
    record: Record | RowRecord,
    options: steps.SendOptions = steps.SINGLE,
    known: Preparation | None = None,
) -> SendWhatsAppResult:
    """Take one message from the request to the provider's yes.

    Rows of a batch come with another options, and prepared together with others.
    """
    prepared = await prepare(request, record, known)
    if request.send_at and request.send_at > workflow.now():
        record.waits_for(f"Waits until {request.send_at.isoformat()}.")
        await asyncio.sleep((request.send_at - workflow.now()).total_seconds())
        # What was cached then may have changed since.
        prepared = await prepare(request, record)

    record.waits_for("Looks up the contact and the template.", prepared)
    contact, flow = await before(
        request.expires_at,
        asyncio.gather(
            steps.resolve_contact(request.to, prepared, options),
            steps.find_flow(request.template, prepared, options),
        ),
    )

    message, kind, summary = outgoing(request, contact, flow)
    record.sending(kind)
    record.waits_for(f"{summary}.", prepared)
    accepted = await steps.send(message, summary, prepared, options)

    return SendWhatsAppResult(
        contact_id=contact.contact_id,
        message_id=accepted.message_id,
        to=contact.to,
        timestamp=accepted.at,
        sent_as=kind,
        flow_id=flow.flow_id if flow else None,
        fallback_reason=flow.reason if flow else None,
    )


async def prepare(
    request: SendWhatsAppRequest, record: Record | RowRecord, known: Preparation | None = None
) -> Preparation:
    """Return what a worker knows of the recipient; fail where the number is none."""
    record.waits_for("Prepares the send.")
    now = workflow.now()
    later = request.send_at is not None and request.send_at > now
    too_late = request.expires_at is not None and request.expires_at <= now
    prepared = known or await steps.prepare(
        request.to, request.template, look_up=not later and not too_late
    )
    record.prepared(prepared)
    if prepared.invalid is not None:
        raise failure(ErrorType.INVALID_PHONE_NUMBER, prepared.invalid)
    return prepared


def outgoing(
    request: SendWhatsAppRequest, contact: Contact, flow: FlowMatch | None
) -> tuple[SendText | SendFlow | SendFile, SentAs, str]:
    """Return what goes out, as what, and a summary in words; fail where no template was found."""
    send = Send(
        contact_id=contact.contact_id,
        delivery=request.delivery,
        origin_run_id=workflow.info().original_execution_run_id,
        expires_at=request.expires_at,
    ).model_dump()
    if request.template is not None and flow and flow.flow_id:
        variables = request.template_variables
        message = SendFlow(**send, flow_id=flow.flow_id, variables=variables)
        return message, "template", f"Send template {steps.shown(request.template)}"
    if request.file_url is not None and request.file_type is not None:
        file = SendFile(**send, url=request.file_url, file_type=request.file_type)
        return file, "media", f"Send {request.file_type}"
    text = request.message if request.template is None else request.fallback_text
    if text is None:
        raise failure(
            ErrorType.TEMPLATE_NOT_FOUND,
            f"Nothing was sent ({flow.reason if flow else 'no flow'}): create or rename the flow,"
            " map the template with CGB_TEMPLATE_<NAME>, or give a fallback text",
        )
    instead = "" if request.template is None else " instead of the template"
    return SendText(**send, text=text), "text", f"Send text{instead}, {len(text):,} characters"


async def before(expires_at: datetime | None, lookups: Awaitable[T]) -> T:
    """Return what the lookups find; fail as `Expired` where that takes until then."""
    if expires_at is None:
        return await lookups
    try:
        left = max((expires_at - workflow.now()).total_seconds(), 0)
        return await asyncio.wait_for(lookups, left)
    except TimeoutError:
        raise expired() from None
