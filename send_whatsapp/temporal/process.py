"""How a process that holds a Temporal client ends."""

import os
import sys
from typing import NoReturn

from send_whatsapp.telemetry import tracing


def leave(code: int) -> NoReturn:
    """Flush traces and output, then end the process without the interpreter's shutdown.

    The SDK's runtime may abort during that shutdown (sdk-python issue 300), which would turn a
    good exit code into SIGABRT.
    """
    tracing.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
