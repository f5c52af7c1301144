"""A command line that talks to the test server and its worker."""

from collections.abc import Awaitable, Callable

import pytest

from tests.conftest import CommandResult, SendHarness, run_command
from tools.dev_server import DevServer

Cli = Callable[..., Awaitable[CommandResult]]


@pytest.fixture
def cli(server: DevServer, harness: SendHarness) -> Cli:
    """Return a function that runs `send-whatsapp` with these arguments and variables."""

    async def call(*arguments: str, **variables: str) -> CommandResult:
        return await run_command(
            *arguments, address=server.address, task_queue=harness.task_queue, **variables
        )

    return call
