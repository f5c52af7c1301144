"""The access log: one line for each request, with its route and without what it was about."""

import logging
import time

from starlette.types import Message, Scope

logger = logging.getLogger("gateway.access")


class AccessLogEntry:
    """The line of one request: its route, and never its path, query, headers or body."""

    def __init__(self, scope: Scope, method: str) -> None:
        """Begin the line of a request with this method; the router puts the route into `scope`."""
        self.caller: str | None = None
        self.status: int | None = None
        self._scope = scope
        self._method = method
        self._started_at = time.perf_counter()

    def note(self, message: Message) -> None:
        """Take the status from the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]

    def write(self) -> None:
        """Write the line."""
        logger.info(
            "request",
            extra={
                "method": self._method,
                "route": getattr(self._scope.get("route"), "path", "-"),
                "status": self.status or 500,
                "ms": round((time.perf_counter() - self._started_at) * 1000),
                "caller": self.caller or "-",
            },
        )
