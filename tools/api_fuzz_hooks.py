"""What schemathesis does not know by itself; it runs in an environment without this project."""

from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson")  # type: ignore[untyped-decorator]
def as_text(context: Any, value: Any) -> Any:
    """Return an uploaded body, which the document describes as text."""
    return value.encode(errors="surrogatepass") if isinstance(value, str) else b""
