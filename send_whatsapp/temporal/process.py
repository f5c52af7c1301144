"""How a process that holds a Temporal client ends."""

import os
import sys
from typing import NoReturn

from send_whatsapp.telemetry import tracing


def leave(code: int) -> NoReturn:
    """End the process at once.

    The SDK's runtime may abort while the interpreter shuts down (sdk-python issue 300), which would
    turn a good exit code into SIGABRT.
    """
    tracing.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
