"""The audit log: who has commanded what over HTTP, by the run that it was about."""

import logging

logger = logging.getLogger("gateway.audit")


def log_command(command: str, caller: str, run_id: str) -> None:
    """Log that a caller has cancelled, resent or controlled a run.

    The workflow id is left out: a caller's key may be somebody's phone number.
    """
    logger.info("command", extra={"command": command, "caller": caller, "run_id": run_id})
