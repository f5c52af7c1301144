"""What is refused on every route, before anything else of a request is looked at."""

import re

from starlette.types import Scope

from send_whatsapp.gateway.problems import Problem

MAX_HEADER_BYTES = 32 * 1024
MAX_HEADERS = 100

_LOCAL_HOST = re.compile(rb"(?:127\.0\.0\.1|localhost|\[::1\])(?::[0-9]{0,5})?", re.IGNORECASE)


def check_headers(scope: Scope) -> None:
    """Raise Problem for headers that no caller may send."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    names = [name for name, _ in headers]
    if scope["http_version"] not in ("1.0", "1.1"):
        raise Problem(505, "Use HTTP/1.1")
    size = len(scope["raw_path"]) + len(scope["query_string"])
    size += sum(len(name) + len(value) + 4 for name, value in headers)
    if len(headers) > MAX_HEADERS or size > MAX_HEADER_BYTES:
        raise Problem(431, "The headers are too large or too many")
    if b"content-length" in names and b"transfer-encoding" in names:
        # Two lengths for one body: a proxy may use one and we the other (request smuggling).
        raise Problem(400, "Send Content-Length or Transfer-Encoding, not both")


def check_local_host(scope: Scope) -> None:
    """Raise Problem unless the request names this machine.

    A web page of anybody's may make a browser on this machine call a name that leads to a loopback
    address (DNS rebinding). The browser then sends this name as `Host`.
    """
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) != 1 or not _LOCAL_HOST.fullmatch(hosts[0].strip()):
        raise Problem(
            421,
            "Without tokens, the gateway serves only Host: 127.0.0.1, localhost or [::1]; set"
            " GATEWAY_TOKENS to serve others",
        )
