"""Callbacks: whether a receiver wants an event, and the attempts to deliver it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Final

from pydantic import BaseModel
from temporalio import activity
from temporalio.exceptions import ApplicationError

from send_whatsapp.callbacks.file import Callback
from send_whatsapp.callbacks.receivers import NoAnswer, Receivers
from send_whatsapp.contract.callback import CallbackEvent, EventName

RETRY_DELAYS_S: Final = (5, 30, 120, 600, 1800, *[3600] * 23)
"""Seconds between the attempts to deliver an event: after the first failure, the second and so on.

They last just under 24 hours.
"""

ATTEMPTS: Final = len(RETRY_DELAYS_S) + 1

NOT_DELIVERED: Final = "CallbackNotDelivered"
GONE: Final = "CallbackGone"


class WantsEvent(BaseModel):
    """An event of the run that asks, for the callback that the memo of this run names."""

    callback: str
    event: EventName


class CallbackActivities:
    """Delivers events to the receivers that the worker's file declares."""

    def __init__(
        self,
        callbacks: Mapping[str, Callback],
        receivers: Receivers,
        delays_s: Sequence[float] = RETRY_DELAYS_S,
    ) -> None:
        self._callbacks = callbacks
        self._receivers = receivers
        self._delays_s = delays_s

    @property
    def are_declared(self) -> bool:
        """Whether the worker's file declares any callback."""
        return bool(self._callbacks)

    @activity.defn
    async def wants_event(self, wanted: WantsEvent) -> bool:
        """Return whether the receiver wants this event; log a warning for an unknown callback."""
        callback = self._callbacks.get(wanted.callback)
        if callback is None:
            # The name is not logged, because anybody may write anything into a memo.
            activity.logger.warning(
                "CALLBACKS_FILE does not declare the callback that the memo of this run names,"
                " so nobody hears how it ends: add it and start the worker again"
            )
            return False
        return wanted.event in callback.events

    @activity.defn
    async def deliver_event(self, event: CallbackEvent) -> int:
        """Post an event and return the status of the answer, a 2xx.

        Raises ApplicationError: `CallbackGone` for a 410, `CallbackNotDelivered` for everything
        else, which is retried after the time in the table.
        """
        callback = self._callbacks.get(event.callback)
        if callback is None:
            raise self._not_delivered("CALLBACKS_FILE of this worker does not declare the callback")
        try:
            status = await self._receivers.post(callback, event.id, event.body)
        except NoAnswer as error:
            raise self._not_delivered(f"The receiver {error}") from None
        if status == HTTPStatus.GONE:
            raise ApplicationError(
                "The receiver answered 410, so this event is not delivered to it again: if that is"
                f" wrong, correct it and run `send-whatsapp callback replay {event.id}`",
                type=GONE,
                non_retryable=True,
            )
        if not 200 <= status < 300:
            raise self._not_delivered(f"The receiver answered {status}")
        return status

    def _not_delivered(self, reason: str) -> ApplicationError:
        attempt = activity.info().attempt
        later = self._delays_s[attempt - 1 : attempt]
        return ApplicationError(
            reason,
            type=NOT_DELIVERED,
            next_retry_delay=timedelta(seconds=later[0]) if later else None,
        )
