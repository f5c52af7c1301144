"""A command line that talks to the test server and its worker."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.conftest import CommandResult, SendHarness, run_command
from tools.dev_server import DevServer

Cli = Callable[..., Coroutine[Any, Any, CommandResult]]


@pytest.fixture
def cli(server: DevServer, harness: SendHarness) -> Cli:
    """Return a function that runs `send-whatsapp` with these arguments and variables."""

    async def call(
        *arguments: str, stdin: str | bytes | int | None = None, **variables: str
    ) -> CommandResult:
        return await run_command(
            *arguments,
            address=server.address,
            task_queue=harness.task_queue,
            stdin=stdin,
            **variables,
        )

    return call
