"""How the Web UI describes a send: one line, and details; never the recipient or the text."""

from typing import Any

from send_whatsapp.contract.errors import utc
from send_whatsapp.contract.request import SendWhatsAppRequest

FORCED_MEMO = "forced"
RESEND_MEMO = "resendOf"


def summary(request: SendWhatsAppRequest) -> str:
    """Return one line for the Web UI, without the recipient and the text."""
    if request.template is not None:
        return f"WhatsApp template {request.template[:60]}"
    if request.file_type is not None:
        return f"WhatsApp {request.file_type}"
    return f"WhatsApp text, {len(request.message or ''):,} characters"


def details(request: SendWhatsAppRequest, memo: dict[str, Any]) -> str:
    """Return the details of a send for the Web UI: its delivery, its times, and why it started."""
    lines = [f"Delivery: {request.delivery}."]
    if request.send_at:
        lines.append(f"Not sent before {utc(request.send_at)}.")
    if request.expires_at:
        lines.append(f"Not sent after {utc(request.expires_at)}.")
    if request.send_window:
        lines.append(f"Sent only from {request.send_window}.")
    if request.ignore_opt_out:
        lines.append("Sent even if the person has opted out (ignoreOptOut).")
    if FORCED_MEMO in memo:
        lines.append("Started by force after a run that may have sent the message.")
    if RESEND_MEMO in memo:
        lines.append(f"Sends the message of {memo[RESEND_MEMO]['id']} again.")
    return " ".join(lines)
