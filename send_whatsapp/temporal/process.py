"""How a process with a Temporal client exits."""

import atexit
import os
import sys
import time
from typing import NoReturn

from send_whatsapp.telemetry import tracing

_RUNTIME_NEEDS_S = 0.05


def wait_at_exit() -> None:
    """Let the SDK's threads return from Python before the interpreter shuts down.

    A thread that is still in Python then aborts the process (sdk-python issue 300).
    """
    atexit.unregister(_wait)
    atexit.register(_wait)


def _wait() -> None:
    time.sleep(_RUNTIME_NEEDS_S)


def exit_now(code: int) -> NoReturn:
    """Flush traces and output, then end the process without the interpreter's shutdown.

    The SDK's runtime may abort during that shutdown (sdk-python issue 300), which would turn a
    good exit code into SIGABRT.
    """
    tracing.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
