"""Fixtures: `worker.py` as a process that tests kill, freeze and stop."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from settings import WorkerSettings
from tests.conftest import ROOT
from tools.dev_server import DevServer

WorkerProcess = subprocess.Popen[bytes]
ProcessOn = Callable[..., AbstractContextManager[WorkerProcess]]


@pytest.fixture
def worker_log(tmp_path: Path) -> Path:
    return tmp_path / "worker.log"


@pytest.fixture
def worker_process(server: DevServer, worker_log: Path) -> ProcessOn:
    """Return a context manager that runs `worker.py` with these settings.

    `address` and `api_url` lead it through relays; its log, JSON, goes to `worker_log`.
    """

    @contextmanager
    def run(
        settings: WorkerSettings, *, address: str = server.address, api_url: str | None = None
    ) -> Iterator[WorkerProcess]:
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("CGB_", "TEMPORAL_"))}
        environment = kept | {
            "TEMPORAL_ADDRESS": address,
            "CGB_API_URL": api_url or settings.api_url,
            "CGB_API_KEY": settings.api_key.get_secret_value(),
            "CGB_TIMEOUT": str(settings.timeout_ms),
            "CGB_RETRY_ATTEMPTS": str(settings.retry_attempts),
            "TEMPORAL_TASK_QUEUE": settings.task_queue,
            "LOG_FORMAT": "json",
        }
        with worker_log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "worker.py")], env=environment, stdout=log, stderr=log
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    return run
