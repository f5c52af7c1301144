"""Programs that use the Python API end with their own exit code."""

import asyncio
import signal
import sys

from tests.conftest import ROOT
from tools.dev_server import DevServer

PROGRAM = """
import asyncio
from send_whatsapp import connect

async def main():
    await (await connect()).count_workflows()

asyncio.run(main())
"""


async def test_the_sdk_does_not_abort_a_program_that_ends(server: DevServer) -> None:
    async def run() -> int | None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM),
            cwd=ROOT,
            env={"TEMPORAL_ADDRESS": server.address},
            stderr=asyncio.subprocess.DEVNULL,
        )
        return await process.wait()

    # Without the wait at exit, about one program in six is aborted.
    codes = [code for _ in range(4) for code in await asyncio.gather(*(run() for _ in range(4)))]
    assert -signal.SIGABRT not in codes
    assert set(codes) == {0}
