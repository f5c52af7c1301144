"""The errors of the Python client.

    NotFound
    KeyConflict
        KeyInUse
        OutcomeUnknown
    SendFailed
        DeliveryUnknown

InvalidKey (contract/names.py) and TemporalUnavailable (temporal/connection.py) are part of the
client's errors too.
"""

from send_whatsapp.contract.result import SendError, SendWhatsAppResult


class NotFound(Exception):
    """No run has this id."""


class KeyConflict(Exception):
    """The key belongs to another request, or to a run that cannot be started again."""


class KeyInUse(KeyConflict):
    """Somebody else has used the key; nothing else may be said about that run."""


class OutcomeUnknown(KeyConflict):
    """Only `force` starts the key again: its run may have sent, was terminated or timed out."""


class SendFailed(Exception):
    """The run ended without the provider's acceptance; `result.error` says why."""

    def __init__(self, result: SendWhatsAppResult) -> None:
        self.result = result
        self.error = result.error or SendError(type="", message="", retryable=False)
        super().__init__(f"{self.error.type}: {self.error.message}")


class DeliveryUnknown(SendFailed):
    """The message may have been sent; nobody can know."""
