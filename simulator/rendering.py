"""Flows: rendered from the contact's fields, at once or some time after the answer."""

import asyncio
from collections.abc import Callable


class Rendering:
    """Renders flows `delay_ms` after they were accepted, as the provider does within 1.5 s."""

    def __init__(self, delay_ms: int = 0) -> None:
        self.delay_ms = delay_ms
        self._waiting: set[asyncio.TimerHandle] = set()

    @property
    def waiting(self) -> int:
        """How many accepted flows have not been rendered yet."""
        return len(self._waiting)

    def schedule(self, render: Callable[[], None]) -> None:
        """Render a flow after the delay, at once if there is none."""
        if self.delay_ms == 0:
            render()
            return

        def run() -> None:
            self._waiting.discard(timer)
            render()

        timer = asyncio.get_running_loop().call_later(self.delay_ms / 1000, run)
        self._waiting.add(timer)

    def cancel(self) -> None:
        """Forget the flows that have not been rendered."""
        for timer in self._waiting:
            timer.cancel()
        self._waiting.clear()
