"""Errors of provider calls, each with what is known about the effect of the call."""

from dataclasses import dataclass


@dataclass
class CGBError(Exception):
    """A provider call that did not succeed.

    `call` says what the call was to do ("send the text"), `detail` how it failed ("HTTP 503").
    `unsent` is True if the call is proven to have had no effect. `provider_message` is the
    provider's own message; it may repeat the phone number or the text, so redact it before you show
    it. `status` is the HTTP status, or the error code in the body; `retry_after` is in seconds.
    """

    call: str
    detail: str
    unsent: bool
    provider_message: str | None = None
    status: int | None = None
    retry_after: float | None = None

    def __str__(self) -> str:
        """Return a message without the provider's own, so that it can be logged."""
        return f"{self.call}: {self.detail}"


class Unauthorized(CGBError):
    """401 or 403: the key is wrong or lacks a permission."""


class Rejected(CGBError):
    """The provider understood the call and refused it: another 4xx, or a refusal in a 2xx."""


class RateLimited(CGBError):
    """429 or 425: try again later; the call had no effect."""


class Unavailable(CGBError):
    """5xx, 408, no connection or no response: a later call may succeed."""


class NotUnderstood(CGBError):
    """A response that docs/provider-api.md does not describe: a retry would get it again."""
