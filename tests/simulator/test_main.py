"""The simulator as a program: it ends quietly, and names a port that is taken."""

import asyncio
import signal
import socket
import sys

import pytest

COMMAND = (sys.executable, "-m", "simulator", "--port")


async def started(port: int) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*COMMAND, str(port), stdout=pipe, stderr=pipe)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_without_a_traceback(number: signal.Signals) -> None:
    process = await started(0)
    assert process.stdout is not None
    assert b"simulator ready" in await process.stdout.readline()
    process.send_signal(number)
    assert await process.communicate() == (b"", b"")
    assert process.returncode in (0, -signal.SIGTERM)


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = await started(port)
        out, err = await process.communicate()
    assert (process.returncode, out, err.count(b"\n")) == (1, b"", 1)
    assert f"127.0.0.1:{port}" in err.decode()
