"""The systems that are compared: each sends to phones, and can be killed and restarted."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from bench.figures import Cpu, flood
from bench.peers import brokers
from bench.peers.brokers import IN_FLIGHT, PACKAGES
from bench.processes import Program
from bench.stage import Crew
from send_whatsapp.contract.errors import ErrorType
from simulator.process import Simulator

Broker = Callable[[Path], AbstractAsyncContextManager[tuple[Program | None, str]]]


class System(Protocol):
    """What the comparison needs of a system."""

    unknown: set[str] | None
    """Phones whose sends ended as unknown; None if the system has no such outcome."""

    async def enqueue(self, phones: Sequence[str]) -> None:
        """Enqueue a send to each phone; return when all are enqueued or done."""

    def kill(self) -> None:
        """Kill the process trees of the workers and start them again."""

    def cpu(self) -> Cpu:
        """Return the CPU time that workers and broker use from now on."""


@dataclass(frozen=True)
class Peer:
    """A system in a folder beside this file, with the commands of its programs."""

    name: str
    folder: str
    broker: Broker
    worker: Sequence[str]
    enqueue: Sequence[str] = ()
    prepare: Sequence[str] = ()

    @property
    def home(self) -> Path:
        """Return the folder of its copy with its packages."""
        return PACKAGES / self.folder

    def install(self) -> None:
        """Copy the folder and install the pinned packages there, unless they are installed."""
        shutil.copytree(Path(__file__).parent / self.folder, self.home, dirs_exist_ok=True)
        installers = {"package-lock.json": self._install_npm, "requirements.txt": self._install_pip}
        for name, install in installers.items():
            pinned, ready = self.home / name, self.home / f".ready-{name}"
            if not pinned.exists():
                continue
            if not ready.exists() or ready.read_bytes() != pinned.read_bytes():
                install(pinned)
                shutil.copy(pinned, ready)

    def _install_npm(self, lock: Path) -> None:
        # No install script is needed: native packages are optional, or contain their binaries.
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(command, cwd=lock.parent, check=True)

    def _install_pip(self, requirements: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", self.home / "venv"], check=True)
        pip = [self._python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "-r", requirements], check=True)

    def resolve(self, command: Sequence[str]) -> list[str]:
        """Return a command that uses the Python which has the packages."""
        return [self._python if part == "python" else part for part in command]

    @property
    def _python(self) -> str:
        own = self.home / "venv" / "bin" / "python"
        return str(own) if own.exists() else sys.executable


PLAIN = Peer("plain asyncio", "plain", brokers.none, ("python", "worker.py"))
PEERS = (
    PLAIN,
    Peer("BullMQ", "bullmq", brokers.redis, ("node", "worker.mjs"), ("node", "enqueue.mjs")),
    Peer(
        "Celery",
        "celery",
        brokers.redis,
        (
            *("python", "-m", "celery", "-A", "tasks", "worker", "--loglevel", "ERROR"),
            *("--pool", "threads", "--concurrency", str(IN_FLIGHT)),
        ),
        ("python", "enqueue.py"),
    ),
    Peer(
        "Taskiq",
        "taskiq",
        brokers.redis,
        (
            *("python", "-m", "taskiq", "worker", "tasks:broker", "--log-level", "ERROR"),
            *("--workers", "1", "--max-async-tasks", str(IN_FLIGHT)),
        ),
        ("python", "enqueue.py"),
    ),
    Peer(
        "DBOS",
        "dbos",
        brokers.postgresql,
        ("python", "worker.py"),
        ("python", "enqueue.py"),
        prepare=("python", "migrate.py"),
    ),
    Peer("Restate", "restate", brokers.restate, ("python", "worker.py"), ("python", "enqueue.py")),
)


class RunningPeer:
    """A peer with its broker and its worker, which logs to `log`."""

    unknown: set[str] | None = None

    def __init__(
        self, peer: Peer, broker: Program | None, url: str, provider: Simulator, log: Path
    ) -> None:
        self._log = log
        self._peer = peer
        self._broker = broker
        self._environment = {n: v for n, v in os.environ.items() if not n.startswith("CGB_")} | {
            "BENCH_BROKER": url,
            "CGB_API_URL": provider.url,
            "CGB_API_KEY": provider.key,
        }
        if peer.prepare:
            command = peer.resolve(peer.prepare)
            subprocess.run(command, env=self._environment, cwd=peer.home, check=True)
        self.worker = self._start()

    def _start(self) -> Program:
        with self._log.open("ab") as log:
            return Program(
                self._peer.resolve(self._peer.worker),
                environment=self._environment,
                folder=self._peer.home,
                stdin=subprocess.DEVNULL if self._peer.enqueue else subprocess.PIPE,
                stdout=log,
                stderr=log,
            )

    async def enqueue(self, phones: Sequence[str]) -> None:
        """Run the program of the peer that enqueues, or write to the worker if there is none."""
        lines = "".join(f"{phone.removeprefix('+')}\n" for phone in phones).encode()
        if not self._peer.enqueue:
            assert self.worker.stdin is not None
            self.worker.stdin.write(lines)
            self.worker.stdin.flush()
            return
        process = await asyncio.create_subprocess_exec(
            *self._peer.resolve(self._peer.enqueue),
            env=self._environment,
            cwd=self._peer.home,
            stdin=asyncio.subprocess.PIPE,
        )
        await process.communicate(lines)
        assert process.returncode == 0, f"{self._peer.name} did not enqueue"

    def kill(self) -> None:
        """Kill the process tree of the worker and start it again."""
        self.worker.kill()
        self.worker = self._start()

    def cpu(self) -> Cpu:
        """Return the CPU time that worker and broker use from now on."""
        broker = self._broker
        return Cpu(
            worker=lambda: self.worker.cpu_seconds(),
            broker=lambda: broker.cpu_seconds() if broker else 0.0,
        )


@asynccontextmanager
async def running(peer: Peer, provider: Simulator, folder: Path) -> AsyncIterator[RunningPeer]:
    """Run a peer with its broker, in this folder, until the block ends."""
    await asyncio.to_thread(peer.install)
    await asyncio.to_thread(folder.mkdir)
    async with peer.broker(folder) as (broker, url):
        system = RunningPeer(peer, broker, url, provider, folder / "worker.log")
        try:
            yield system
        finally:
            system.worker.kill()


@dataclass
class Ours:
    """Single sends through this project, with one kind of delivery."""

    crew: Crew
    delivery: str
    unknown: set[str] | None = field(default_factory=set)

    @property
    def name(self) -> str:
        """Return its name in the tables."""
        return f"ours, {self.delivery.replace('_', ' ')}"

    async def enqueue(self, phones: Sequence[str]) -> None:
        """Send to each phone, with as many in flight as the workers of the peers have."""
        await flood(len(phones), IN_FLIGHT, lambda i: self._send(phones[i]))

    async def _send(self, phone: str) -> None:
        try:
            await self.crew.send(to=phone, delivery=self.delivery)
        except WorkflowFailureError as error:
            cause = error.cause
            if not isinstance(cause, ApplicationError) or cause.type != ErrorType.DELIVERY_UNKNOWN:
                raise
            assert self.unknown is not None
            self.unknown.add(phone)

    def kill(self) -> None:
        """Kill the worker and start it again."""
        self.crew.restart()

    def cpu(self) -> Cpu:
        """Return the CPU time that worker and server use from now on."""
        return self.crew.cpu()
