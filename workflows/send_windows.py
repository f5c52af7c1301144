"""The send window of a message: what happens outside of it, and how a run waits for its opening."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.preparation import Preparation
    from send_whatsapp.contract.attempts import WINDOW_CLOSED
    from send_whatsapp.contract.errors import expired
    from send_whatsapp.contract.opening_times import Opening
    from send_whatsapp.contract.request import SendWhatsAppRequest
    from workflows.visibility import RunVisibility

T = TypeVar("T")


class WindowClosed(Exception):
    """The send window is closed, so nothing was sent; `opening` is the next one, if it is known."""

    def __init__(self, closed_at: datetime, opening: Opening | None = None) -> None:
        super().__init__("the send window is closed")
        self.closed_at = closed_at
        self.opening = opening


def check_opening(prepared: Preparation) -> None:
    """Raise WindowClosed if the message may not be sent at its time."""
    opening = prepared.opening
    if opening and not opening.is_open:
        raise WindowClosed(opening.at, opening)


def check_still_open(prepared: Preparation) -> None:
    """Raise WindowClosed if the window has closed since the message was prepared."""
    opening = prepared.opening
    if opening and workflow.now() >= opening.closes_at:
        raise WindowClosed(opening.closes_at)


def is_window_closed(error: ActivityError) -> bool:
    """Return whether a send did not begin because its window had closed."""
    return isinstance(error.cause, ApplicationError) and error.cause.type == WINDOW_CLOSED


async def within_window(
    request: SendWhatsAppRequest, visibility: RunVisibility, attempt: Callable[[], Awaitable[T]]
) -> T:
    """Return what `attempt` returns; each time the window is closed, try again when it opens.

    Raises the failure `Expired` at once if the window opens too late, and what `attempt` raises.
    """
    while True:
        try:
            return await attempt()
        except WindowClosed as closed:
            opens_at = closed.closed_at
            if closed.opening:
                opens_at = closed.opening.opens_at
                if request.expires_at and opens_at >= request.expires_at:
                    raise expired() from None
                visibility.waits_for_window(closed.opening)
        # If the clocks differ, a worker may say that the window has closed a bit too early.
        wait_s = (opens_at - workflow.now()).total_seconds()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
