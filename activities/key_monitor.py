"""Watches whether the provider accepts the key, so that a refused key wastes no messages."""

import asyncio
import logging
from datetime import timedelta

from temporalio.exceptions import ApplicationError

from send_whatsapp.cgb.client import Budget, CGBClient
from send_whatsapp.cgb.errors import CGBError, Unauthorized
from send_whatsapp.contract.errors import ErrorType, FailureDetails

logger = logging.getLogger(__name__)

CHECK_INTERVAL_S = 1.0
"""Least time between two checks after refused calls."""

ADMIT_WITHIN_S = 5.0
"""Calls wait at most this long for a running check."""

FIRST_WAIT_S, MAX_WAIT_S = 1.0, 60.0
"""Wait between two checks of a key that could not be checked yet: doubled up to the maximum."""

OTHER_WORKER_S = 5.0
"""Delay until another worker may take an activity that this one must not call for."""


class KeyMonitor:
    """Checks the key with `GET /accounts/me`; `refused` is set once the provider refuses it."""

    def __init__(self, client: CGBClient, timeout_s: float) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._check: asyncio.Task[None] | None = None
        self._accepted = False
        self._checked_at = float("-inf")
        self.refused = asyncio.Event()

    async def check(self) -> None:
        """Check the key once. Sets `refused`, or raises CGBError if there is no clear answer."""
        try:
            account = await self._client.account(Budget.of(self._timeout_s, "key-check"))
        except Unauthorized:
            self.refused.set()
            return
        self._accepted = True
        logger.info("the key belongs to account %s", account.id or "without an id")

    async def check_until_answered(self) -> None:
        """Check the key again and again until the provider gives a clear answer."""
        wait = FIRST_WAIT_S
        while not self.refused.is_set() and not self._accepted:
            await asyncio.sleep(wait)
            wait = min(wait * 2, MAX_WAIT_S)
            try:
                await self.check()
            except CGBError as error:
                logger.warning("could not check the provider's key (%s), trying again", error)

    def call_was_refused(self) -> None:
        """Check the key, because a call was answered with 401 or 403."""
        if self._check is None or self._check.done():
            self._check = asyncio.create_task(self._check_again())

    async def admit(self) -> None:
        """Wait for a running check. Raises a failure that another worker retries if the key is bad.

        Call this before a provider call: after a refusal no further call is made with the key.
        """
        if self._check is not None and not self._check.done():
            await asyncio.wait({self._check}, timeout=ADMIT_WITHIN_S)
        if self.refused.is_set():
            detail = "the provider refuses this worker's key"
            raise ApplicationError(
                f"Nothing was sent, because {detail}; another worker retries it",
                FailureDetails(detail=detail),
                type=ErrorType.UNAUTHORIZED,
                next_retry_delay=timedelta(seconds=OTHER_WORKER_S),
            )

    async def _check_again(self) -> None:
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(max(0, self._checked_at + CHECK_INTERVAL_S - now))
        self._checked_at = asyncio.get_running_loop().time()
        try:
            await self.check()
        except CGBError as error:
            logger.warning("could not check the provider's key (%s)", error)
