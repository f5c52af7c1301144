"""Trouble for a chaos run: workers, the Temporal server and connections that fail at random."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tools.dev_server import ROOT, DevServer
from tools.relay import Relay

PAUSE_S = (0.5, 2.5)
FREEZE_S = (0.5, 7.0)
OUTAGE_S = (0.1, 3.0)
LEAVE_WITHIN_S = 30.0

_WEIGHTS = {"kill": 3, "freeze": 3, "terminate": 2, "cut": 3, "restart the server": 1}


class Trouble:
    """Keeps some workers running, and does harm to them and to what they need."""

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
        """Harm by `chance`; workers reach the server through `connections`."""
        self._chance = chance
        self._server = server
        self._connections = connections
        self._environment = environment
        self._log = log
        self._workers = [self._worker() for _ in range(workers)]
        self._leaving: list[subprocess.Popen[bytes]] = []
        self._thaws: set[asyncio.Task[None]] = set()
        self.done: Counter[str] = Counter()

    def _worker(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, str(ROOT / "worker.py")],
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    async def go_on(self) -> None:
        """Do harm until cancelled; then the server runs, and workers serve the queue."""
        try:
            while True:
                await asyncio.sleep(self._chance.uniform(*PAUSE_S))
                await self._harm()
        finally:
            if self._server.process is None or self._server.process.poll() is not None:
                await self._server.start()
            self._see_to_workers()

    async def _harm(self) -> None:
        what = self._chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        worker = self._chance.choice(self._workers)
        match what:
            case "kill":
                worker.kill()
            case "freeze":
                worker.send_signal(signal.SIGSTOP)
                seconds = self._chance.uniform(*FREEZE_S)
                self._thaws.add(asyncio.create_task(self._thaw(worker, seconds)))
            case "terminate":
                worker.terminate()
                self._leaving.append(worker)
                self._workers.remove(worker)
                self._workers.append(self._worker())
            case "cut":
                self._connections.cut()
            case _:
                self._server.stop(signal.SIGKILL)
                await asyncio.sleep(self._chance.uniform(*OUTAGE_S))
                await self._server.start()
        self.done[what] += 1
        self._see_to_workers()

    async def _thaw(self, worker: subprocess.Popen[bytes], seconds: float) -> None:
        await asyncio.sleep(seconds)
        worker.send_signal(signal.SIGCONT)

    def _see_to_workers(self) -> None:
        self._workers = [w if w.poll() is None else self._worker() for w in self._workers]

    async def end(self) -> None:
        """Stop every worker, so that nothing can be sent any more."""
        await asyncio.gather(*self._thaws)
        processes = self._workers + self._leaving
        for process in processes:
            process.terminate()
        deadline = asyncio.get_running_loop().time() + LEAVE_WITHIN_S
        for process in processes:
            left = max(deadline - asyncio.get_running_loop().time(), 0.1)
            try:
                await asyncio.to_thread(process.wait, left)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def worker_environment(**changes: str) -> dict[str, str]:
    """Return this process's environment with settings of a worker instead of those it has."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("CGB_", "TEMPORAL_"))}
    return kept | {"LOG_FORMAT": "json", "LOG_LEVEL": "INFO"} | changes
