"""The public Python API, which `send_whatsapp` offers under its own name."""

from send_whatsapp.client.errors import (
    DeliveryUnknown,
    KeyConflict,
    NotFound,
    OutcomeUnknown,
    SendFailed,
)
from send_whatsapp.client.sends import get_result, send, start_send
from send_whatsapp.client.state import Started, State, get_state
from send_whatsapp.contract.names import InvalidKey
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.contract.result import SendError, SendWhatsAppResult
from send_whatsapp.contract.send_window import SendWindow
from send_whatsapp.temporal.connection import TemporalUnavailable, connect

__all__ = [
    "DeliveryUnknown",
    "InvalidKey",
    "KeyConflict",
    "NotFound",
    "OutcomeUnknown",
    "SendError",
    "SendFailed",
    "SendWhatsAppRequest",
    "SendWhatsAppResult",
    "SendWindow",
    "Started",
    "State",
    "TemporalUnavailable",
    "connect",
    "get_result",
    "get_state",
    "send",
    "start_send",
]
