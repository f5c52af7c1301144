"""How a process with a Temporal client exits."""

import os
import sys
from typing import NoReturn

from send_whatsapp.telemetry import tracing


def exit_now(code: int) -> NoReturn:
    """Flush traces and output, then end the process without the interpreter's shutdown.

    The SDK's runtime may abort during that shutdown (sdk-python issue 300), which would turn a
    good exit code into SIGABRT.
    """
    tracing.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
