"""Helpers to run commands of the documentation in a test."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from simulator.process import Simulator
from tests.conftest import ROOT


class Finished(NamedTuple):
    """The exit code of a program and what it printed."""

    code: int | None
    out: str
    err: str


async def run(
    *words: str, variables: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> Finished:
    """Run a program with these environment variables and wait for its end."""
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=cwd,
        env=os.environ | (variables or {}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(100):
        out, err = await process.communicate()
    return Finished(process.returncode, out.decode(), err.decode())


async def run_python(*words: str, variables: Mapping[str, str]) -> Finished:
    """Run Python with these arguments, and ignore an abort of the SDK after the program's end.

    The SDK's runtime may abort while the interpreter shuts down (sdk-python issue 300).
    """
    done = await run(sys.executable, *words, variables=variables)
    if done.code == -signal.SIGABRT and "Python runtime state: finalizing" in done.err:
        return Finished(0, done.out, done.err.partition("Fatal Python error")[0])
    return done


async def has_arrived(provider: Simulator, phone: str) -> bool:
    """Return whether exactly one message is on this phone."""
    return len(await provider.inbox(phone)) == 1
