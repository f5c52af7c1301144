"""Places and slots: how many requests the gateway works on at once, and whose."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

MAX_REQUESTS_PER_CALLER = 512
MAX_WAITS = 512
MAX_WAITS_PER_CALLER = 256
MAX_UNPROVEN = 64
SHORTEST_S = 0.25


class Places:
    """Places for requests. Each caller has its own, so that none can take the places of others."""

    def __init__(self, per_caller: int, total: int | None = None) -> None:
        """Give each caller `per_caller` places, all callers together `total` (None: no limit)."""
        self._per_caller = per_caller
        self._total = total
        self._taken: Counter[str] = Counter()

    def take(self, caller: str) -> "Place | None":
        """Return a place of this caller; None if it has too many, or if all are taken."""
        full = self._total is not None and self._taken.total() >= self._total
        if full or self._taken[caller] >= self._per_caller:
            return None
        self._taken[caller] += 1
        return Place(self._taken, caller)


class Place:
    """A place, held until the block ends or the request leaves it."""

    def __init__(self, taken: Counter[str], caller: str) -> None:
        self._taken = taken
        self._caller = caller
        self._held = True

    def leave(self) -> None:
        """Give the place back; does nothing the second time."""
        if self._held:
            self._held = False
            self._taken[self._caller] -= 1

    def __enter__(self) -> Self:
        """Hold the place."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the place."""
        self.leave()


class UnprovenPlaces:
    """A few places for requests that have shown neither a token nor a signature.

    If all are taken, the request that has held its place for longest must go. Each has SHORTEST_S
    at least: bodies that never end cannot keep out a body that arrives.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._since: dict[asyncio.Timeout, float] = {}

    @asynccontextmanager
    async def place(self, seconds: float) -> AsyncIterator[None]:
        """Hold a place in the block, for `seconds` at most.

        Raises TimeoutError when the time is over, or when another request needs the place.
        """
        now = asyncio.get_running_loop().time()
        while len(self._since) >= self._count:
            longest, since = next(iter(self._since.items()))
            del self._since[longest]
            if not longest.expired():
                longest.reschedule(max(since + SHORTEST_S, now))
        async with asyncio.timeout(seconds) as deadline:
            self._since[deadline] = now
            try:
                yield
            finally:
                self._since.pop(deadline, None)


class Slots:
    """Slots that requests wait for, first come, first served.

    A caller gets `per_caller` of them at most: however many of its requests wait, only as many of
    them can be ahead of another caller's.
    """

    def __init__(self, total: int, per_caller: int) -> None:
        self._all = asyncio.Semaphore(total)
        self._of_caller: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(per_caller)
        )

    @asynccontextmanager
    async def slot(self, caller: str) -> AsyncIterator[None]:
        """Wait for a slot, and hold it in the block."""
        async with self._of_caller[caller], self._all:
            yield
