"""How a process with a Temporal client runs and exits."""

import atexit
import gc
import os
import sys
import time
from typing import NoReturn

from send_whatsapp.telemetry import tracing

_RUNTIME_NEEDS_S = 0.05

_NEW_OBJECTS = 20_000
"""New objects that start a garbage collection. Python's 700 cost a batch a tenth of the worker's
CPU (`python -m bench --only batch`), for almost no garbage that reference counts do not free."""


def collect_garbage_seldom() -> None:
    """Let the garbage collector run less often, and leave out what has been loaded by now.

    Call it once, when the process has started everything.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)


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
