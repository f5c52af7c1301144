"""SendWhatsAppCallback: tells one receiver about one event."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.callbacks import ATTEMPTS, GONE, NOT_DELIVERED, CallbackActivities
    from send_whatsapp.contract.callback import CallbackEvent
    from send_whatsapp.contract.names import CALLBACK_WORKFLOW

CALLBACKS = "send_whatsapp_callbacks"

ATTEMPT_TIMEOUT = timedelta(seconds=15)
"""Above the 10 s of one call, after which the attempt ends by itself unless its worker was lost."""


@workflow.defn(name=CALLBACK_WORKFLOW)
class SendWhatsAppCallback:
    """Delivers one event. Completed: the receiver has it. Failed: it is gone or never answered."""

    @workflow.run
    async def run(self, event: CallbackEvent) -> int:
        """Return the status of the receiver's answer, a 2xx."""
        workflow.set_current_details(
            f"Delivers {event.type}. The pending activity shows the attempt, its last failure and"
            " the time of the next one (docs/callbacks.md)."
        )
        try:
            status = await workflow.execute_activity_method(
                CallbackActivities.deliver_event,
                event,
                start_to_close_timeout=ATTEMPT_TIMEOUT,
                # An attempt says itself when the next one follows. This policy counts after an
                # attempt that was lost with its worker, and comes close to the same table.
                retry_policy=RetryPolicy(
                    initial_interval=timedelta(seconds=5),
                    backoff_coefficient=5,
                    maximum_interval=timedelta(hours=1),
                    maximum_attempts=ATTEMPTS,
                ),
                summary=f"Post {event.type}",
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            failed = _failure(event, error)
            _ended(event, "gone" if failed.type == GONE else "not_delivered", failed.message)
            raise failed from None
        _ended(event, "delivered", f"The receiver answered {status}")
        return status


def _failure(event: CallbackEvent, error: ActivityError) -> ApplicationError:
    """Return the failure of the run, which says what to do."""
    last = error.cause
    if isinstance(last, ApplicationError) and last.type == GONE:
        return last
    reason = last.message if isinstance(last, ApplicationError) else "The worker was lost"
    return ApplicationError(
        f"{reason}, and no attempt is left: once the receiver works, run"
        f" `send-whatsapp callback replay {event.id}`",
        type=NOT_DELIVERED,
        non_retryable=True,
    )


def _ended(event: CallbackEvent, outcome: str, details: str) -> None:
    """Show how it has ended, and count it."""
    workflow.set_current_details(f"**{outcome.replace('_', ' ')}** {details}.")
    labels = {"event": event.type, "outcome": outcome}
    workflow.logger.info("callback ended", extra=labels)
    workflow.metric_meter().create_counter(
        CALLBACKS, "Callbacks that ended, by event and outcome"
    ).add(1, labels)
