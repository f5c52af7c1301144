"""What can go wrong with a provider call, and whether it proves that nothing was sent."""

from dataclasses import dataclass


@dataclass
class CGBError(Exception):
    """A provider call that did not succeed.

    `call` says in words what was asked, `came` what came back. `said` holds the provider's own
    words, raw: they may repeat the phone number or the text, so whoever shows them cleans them.
    `unsent` is True where it is proven that the call had no effect. `retry_after` is in seconds.
    """

    call: str
    detail: str
    unsent: bool
    provider_message: str | None = None
    status: int | None = None
    retry_after: float | None = None

    def __str__(self) -> str:
        """Return the sentence without the provider's words, safe to log."""
        return f"{self.call}: {self.detail}"


class Unauthorized(CGBError):
    """401 or 403: the key is wrong or may not do this."""


class Rejected(CGBError):
    """The provider understood and refused: another 4xx, or 200 with a refusal inside."""


class RateLimited(CGBError):
    """429 or 425: not now; nothing was done."""


class Unavailable(CGBError):
    """5xx, 408, no connection, no answer: it may work later, and `unsent` says what is known."""


class NotUnderstood(CGBError):
    """An answer outside the API: trying again would only repeat it."""
