"""Random faults of workers, the Temporal server and connections, for `make chaos`."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

from tools.dev_server import ROOT, DevServer
from tools.relay import Relay

PAUSE_S = (0.5, 2.5)
FREEZE_S = (0.5, 7.0)
OUTAGE_S = (0.1, 3.0)
STOP_WITHIN_S = 30.0

_WEIGHTS = {"kill": 3, "freeze": 3, "terminate": 2, "cut": 3, "restart the server": 1}


class FaultInjector:
    """Runs workers, and injects faults into them, their server and their connections to it.

    `chance` decides which faults happen and when. The workers reach the server through
    `connections`.
    """

    def __init__(
        self,
        chance: random.Random,
        server: DevServer,
        connections: Relay,
        environment: dict[str, str],
        log: Path,
        *,
        workers: int,
    ) -> None:
        self.injected: Counter[str] = Counter()
        self._chance = chance
        self._server = server
        self._connections = connections
        self._environment = environment
        self._log = log
        self._workers = [self._start_worker() for _ in range(workers)]
        self._terminated: list[subprocess.Popen[bytes]] = []
        self._resumptions: set[asyncio.Task[None]] = set()

    def _start_worker(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, str(ROOT / "worker.py")],
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    async def run(self) -> None:
        """Inject faults until cancelled; then make sure that the server and all workers run."""
        try:
            while True:
                await asyncio.sleep(self._chance.uniform(*PAUSE_S))
                await self._inject()
        finally:
            if self._server.process is None or self._server.process.poll() is not None:
                await self._server.start()
            self._replace_ended_workers()

    async def _inject(self) -> None:
        fault = self._chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        worker = self._chance.choice(self._workers)
        match fault:
            case "kill":
                worker.kill()
            case "freeze":
                worker.send_signal(signal.SIGSTOP)
                seconds = self._chance.uniform(*FREEZE_S)
                self._resumptions.add(asyncio.create_task(self._resume(worker, seconds)))
            case "terminate":
                worker.terminate()
                self._terminated.append(worker)
                self._workers.remove(worker)
                self._workers.append(self._start_worker())
            case "cut":
                self._connections.cut()
            case _:
                self._server.stop(signal.SIGKILL)
                await asyncio.sleep(self._chance.uniform(*OUTAGE_S))
                await self._server.start()
        self.injected[fault] += 1
        self._replace_ended_workers()

    async def _resume(self, worker: subprocess.Popen[bytes], seconds: float) -> None:
        await asyncio.sleep(seconds)
        worker.send_signal(signal.SIGCONT)

    def _replace_ended_workers(self) -> None:
        self._workers = [w if w.poll() is None else self._start_worker() for w in self._workers]

    async def stop_workers(self) -> None:
        """Stop every worker, so that nothing more is sent."""
        await asyncio.gather(*self._resumptions)
        processes = self._workers + self._terminated
        for process in processes:
            process.terminate()
        deadline = asyncio.get_running_loop().time() + STOP_WITHIN_S
        for process in processes:
            left = max(deadline - asyncio.get_running_loop().time(), 0.1)
            try:
                await asyncio.to_thread(process.wait, left)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def quiet_runtime() -> Runtime:
    """Return a runtime that does not log a warning for every call to a stopped server."""
    level = TelemetryFilter(core_level="ERROR", other_level="ERROR")
    return Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter=level)))


def worker_environment(**settings: str) -> dict[str, str]:
    """Return the environment of this process, with these settings of the worker and no others."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("CGB_", "TEMPORAL_"))}
    return kept | {"LOG_FORMAT": "json", "LOG_LEVEL": "INFO"} | settings
