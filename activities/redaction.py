"""What may be shown of the provider's own words: no key, number, message text or URL."""

import re
from collections.abc import Iterable

_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://\S*|\bwww\.\S+", re.IGNORECASE)
# Spaces, dots, dashes or brackets between the digits of a number do not hide it.
_NUMBER = re.compile(r"\+?\d(?:[\s().\u00a0-]{0,3}\d){6,}")

_SHARED_LENGTH = 12
"""A message that shares this many characters in a row with a private text repeats it."""

_MAX_LENGTH = 200


def redact(message: str, private: Iterable[str]) -> str:
    """Return the provider's message without URLs, numbers and private texts, cut to 200 characters.

    A message that repeats a part of a long private text is withheld as a whole.
    """
    for secret in sorted({p for p in private if p}, key=len, reverse=True):
        message = message.replace(secret, "…")
        if len(secret) > _SHARED_LENGTH and _share_a_part(message, secret):
            return "(withheld, since it repeats the message)"
    message = _NUMBER.sub("…", _URL.sub("…", message))
    message = " ".join("".join(c if c.isprintable() else " " for c in message).split())
    return message if len(message) <= _MAX_LENGTH else message[: _MAX_LENGTH - 1] + "…"


def _share_a_part(message: str, secret: str) -> bool:
    # The provider may repeat only a part of the text, cut off or escaped.
    message, secret = message[:2000].casefold(), secret.casefold()
    starts = range(len(secret) - _SHARED_LENGTH + 1)
    return any(secret[start : start + _SHARED_LENGTH] in message for start in starts)
