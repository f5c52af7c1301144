"""SendWhatsApp: the steps of one message, in order."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.contacts import Contact
    from activities.messages import Send, SendFile, SendFlow, SendText
    from activities.preparation import Preparation
    from activities.sending import SendActivities
    from send_whatsapp.contract.errors import (
        ErrorType,
        failure,
        invalid_request,
        outcome_of,
        result_of,
    )
    from send_whatsapp.contract.names import SEND_WORKFLOW
    from send_whatsapp.contract.request import SendWhatsAppRequest
    from send_whatsapp.contract.result import SendWhatsAppResult
    from send_whatsapp.contract.templates import FlowMatch
    from send_whatsapp.contract.turns import TURN_SIGNAL, TurnMessage
    from workflows import callbacks, steps
    from workflows.send_windows import check_opening, within_window
    from workflows.sending import OutgoingMessage, send
    from workflows.start_deadline import check_start_time
    from workflows.steps import SINGLE_SEND, SendOptions, until_expiry
    from workflows.turns import RunTurns, Turn, in_turn
    from workflows.visibility import RowVisibility, RunVisibility, count_send


@workflow.defn(name=SEND_WORKFLOW)
class SendWhatsApp:
    """Sends one message. Completed: the provider accepted it. Failed: it did not, or may have."""

    def __init__(self) -> None:
        self._turns = RunTurns()

    @workflow.run
    async def run(self, request: SendWhatsAppRequest) -> SendWhatsAppResult:
        """Return what the provider accepted; fail as one of `ErrorType`, or end as cancelled."""
        visibility = RunVisibility(request)
        try:
            check_start_time()
            result = await within_window(
                request, visibility, lambda: self._deliver(request, visibility)
            )
        except (asyncio.CancelledError, FailureError) as error:
            visibility.ended(outcome_of(error), error)
            await callbacks.message_ended(outcome_of(error), result_of(error))
            raise
        visibility.ended("accepted")
        await callbacks.message_ended("accepted", result)
        return result

    async def _deliver(
        self, request: SendWhatsAppRequest, visibility: RunVisibility
    ) -> SendWhatsAppResult:
        turn = self._turns.new(request.to) if request.takes_turn else None
        return await deliver(request, visibility, turn)

    @workflow.signal(name=TURN_SIGNAL)
    def turn(self, message: TurnMessage) -> None:
        """Learn that the turn of this message has come, or that somebody waits for its end."""
        self._turns.receive(message)

    async def input_is_invalid(self, failure: ApplicationError) -> None:
        """Count a run whose input is not a request; `run` is not called for it."""
        count_send(None, "failed", failure.type)
        await callbacks.message_ended("failed", result_of(failure))


async def deliver(
    request: SendWhatsAppRequest,
    visibility: RunVisibility | RowVisibility,
    turn: Turn | None,
    options: SendOptions = SINGLE_SEND,
    preparation: Preparation | None = None,
) -> SendWhatsAppResult:
    """Take one message from the request to the provider's answer.

    `turn` is None if the message takes no turn. Rows of a batch have other options, and a
    `preparation` with the failure of their first attempt. Raises `WindowClosed` outside of the send
    window.
    """
    prepared = await prepare(request, visibility, turn, preparation)
    if request.send_at and request.send_at > workflow.now():
        visibility.waits_for(f"Waits until {request.send_at.isoformat()}.")
        await asyncio.sleep((request.send_at - workflow.now()).total_seconds())
        # The cache may have changed during the wait.
        prepared = await prepare(request, visibility, turn)

    async with in_turn(turn, prepared, request, visibility):
        visibility.waits_for("Looks up the contact and the template.", prepared)
        contact, flow = await until_expiry(
            request.expires_at,
            asyncio.gather(
                steps.resolve_contact(request.to, prepared, options),
                steps.find_flow(request.template, prepared, options),
            ),
        )

        message = outgoing(request, contact, flow, prepared, turn)
        visibility.sending(message.kind)
        visibility.waits_for(f"{message.summary}.", prepared)
        accepted = await send(message, prepared, options)

    return SendWhatsAppResult(
        contact_id=contact.contact_id,
        message_id=accepted.message_id,
        to=contact.to,
        timestamp=accepted.at,
        sent_as=message.kind,
        flow_id=flow.flow_id if flow else None,
        fallback_reason=flow.reason if flow else None,
    )


async def prepare(
    request: SendWhatsAppRequest,
    visibility: RunVisibility | RowVisibility,
    turn: Turn | None,
    preparation: Preparation | None = None,
) -> Preparation:
    """Return what a worker knows about the recipient; fail if the request is not valid.

    Asks for the turn as well, unless the message is to be sent later. Raises `WindowClosed` if it
    may not be sent at its time.
    """
    visibility.waits_for("Prepares the send.")
    now = workflow.now()
    send_at = max(now, request.send_at or now)
    is_later = send_at > now
    is_expired = request.expires_at is not None and request.expires_at <= now
    may_send = not is_later and not is_expired
    prepared = preparation or await steps.prepare(
        request.to,
        request.template,
        request.template_variables,
        look_up=may_send,
        ticket=turn.open_ticket if turn and may_send else None,
        window=request.send_window,
        at=send_at,
    )
    visibility.prepared(prepared)
    if prepared.invalid is not None:
        raise failure(ErrorType.INVALID_PHONE_NUMBER, prepared.invalid)
    if prepared.wrong_variables:
        raise invalid_request(prepared.wrong_variables)
    if preparation is None:
        check_opening(prepared)
    return prepared


def outgoing(
    request: SendWhatsAppRequest,
    contact: Contact,
    flow: FlowMatch | None,
    prepared: Preparation,
    turn: Turn | None,
) -> OutgoingMessage:
    """Return the message to send; fail if there is nothing to send."""
    common = Send(
        contact_id=contact.contact_id,
        delivery=request.delivery,
        retry=prepared.retry,
        origin_run_id=workflow.info().original_execution_run_id,
        expires_at=request.expires_at,
        failed_attempt=prepared.failed_send,
        may_write_at=contact.may_write_at,
        ignore_opt_out=request.ignore_opt_out,
        turn=turn.held if turn else None,
        window_closes_at=prepared.opening.closes_at if prepared.opening else None,
    ).model_dump()
    if request.template is not None and flow and flow.flow_id:
        variables = request.template_variables
        send_flow = SendFlow(**common, flow_id=flow.flow_id, variables=variables)
        summary = f"Send template {steps.shortened(request.template)}"
        return OutgoingMessage(SendActivities.send_flow, send_flow, "template", summary)
    if request.file_url is not None and request.file_type is not None:
        send_file = SendFile(**common, url=request.file_url, file_type=request.file_type)
        summary = f"Send {request.file_type}"
        return OutgoingMessage(SendActivities.send_file, send_file, "media", summary)
    text = request.message if request.template is None else request.fallback_text
    if text is None:
        raise failure(
            ErrorType.TEMPLATE_NOT_FOUND,
            f"Nothing was sent ({flow.reason if flow else 'no flow'}): create or rename the flow,"
            " map the template with CGB_TEMPLATE_<NAME>, or give a fallback text",
        )
    instead = "" if request.template is None else " instead of the template"
    summary = f"Send text{instead}, {len(text):,} characters"
    send_text = SendText(**common, text=text)
    return OutgoingMessage(SendActivities.send_text, send_text, "text", summary)
