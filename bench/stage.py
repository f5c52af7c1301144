"""What all parts share: a new dev server, the simulator and workers, each its own process."""

import asyncio
import itertools
import os
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from temporalio.client import Client, WorkflowHandle

from bench.figures import Cpu, Results, flood, spread
from bench.processes import Program, cpu_seconds
from send_whatsapp.client.sends import start_send
from send_whatsapp.contract.converter import contract_plugin
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.contract.result import SendWhatsAppResult
from send_whatsapp.temporal.task_queue import no_worker
from simulator.process import Simulator, simulator
from tools.dev_server import ROOT, DevServer, dev_server

DELAY_MS = 50
"""Time that the provider takes per call, unless a part sets another one."""

OURS: Sequence[str] = (sys.executable, str(ROOT / "worker.py"))

_numbers = itertools.count(1)


def new_phone() -> str:
    """Return a phone number that was not used before."""
    return f"+49151{next(_numbers):08d}"


@dataclass
class Crew:
    """Worker processes on their own task queue, and sends through them."""

    client: Client
    server: DevServer
    provider: Simulator
    task_queue: str
    environment: Mapping[str, str]
    command: Sequence[str] = OURS
    log: Path | None = None
    workers: list[Program] = field(default_factory=list)

    def start_workers(self, count: int) -> None:
        """Start `count` worker processes; they log to `log`, if it is given."""
        with self.log.open("ab") if self.log else nullcontext() as log:
            self.workers = [
                Program(self.command, environment=self.environment, folder=ROOT, stderr=log)
                for _ in range(count)
            ]

    def kill_workers(self) -> None:
        """Kill every worker process."""
        for worker in self.workers:
            worker.kill()

    def restart(self) -> None:
        """Kill the workers and start the same number again."""
        self.kill_workers()
        self.start_workers(len(self.workers))

    async def start(self, **fields: object) -> WorkflowHandle[object, SendWhatsAppResult]:
        """Start one send as a starter does."""
        request = SendWhatsAppRequest.model_validate({"message": "Hello", **fields})
        started = await start_send(self.client, request, task_queue=self.task_queue)
        return self.client.get_workflow_handle(
            started.id, run_id=started.run_id, result_type=SendWhatsAppResult
        )

    async def send(self, **fields: object) -> str:
        """Send one message and wait for the result; return the workflow id."""
        handle = await self.start(**fields)
        await handle.result()
        return handle.id

    async def warm_up(self, phones: Sequence[str] = ()) -> None:
        """Send to these phones, or to new ones, to fill caches and load all code."""
        known = phones or [new_phone() for _ in range(20)]
        await flood(len(known), 20, lambda i: self._send_to(known[i]))

    async def _send_to(self, phone: str, **fields: object) -> None:
        await self.send(to=phone, **fields)

    def cpu(self) -> Cpu:
        """Return the CPU time that workers and server use from now on."""
        process = self.server.process
        assert process is not None
        return Cpu(
            worker=lambda: sum(worker.cpu_seconds() for worker in self.workers),
            server=lambda: cpu_seconds(process.pid),
        )

    async def many(
        self, count: int, in_flight: int, phones: Sequence[str], **fields: object
    ) -> Results:
        """Send `count` messages to these phones in turn; return rate, latency and CPU."""
        cpu = self.cpu()
        seconds, elapsed = await flood(
            count, in_flight, lambda i: self._send_to(phones[i % len(phones)], **fields)
        )
        return {
            "sends": count,
            "inFlight": in_flight,
            "perSecond": round(count / elapsed, 1),
            "ms": spread(seconds),
            "cpuSecondsPer1000": cpu.per_1000(count),
        }


@dataclass
class Stage:
    """Server, client and provider that every part uses, and one worker (`crew`)."""

    server: DevServer
    client: Client
    provider: Simulator
    folder: Path
    crew: Crew = field(init=False)

    @asynccontextmanager
    async def workers(
        self,
        count: int = 1,
        *,
        command: Sequence[str] = OURS,
        provider: Simulator | None = None,
        log: Path | None = None,
        **variables: str,
    ) -> AsyncIterator[Crew]:
        """Run `count` worker processes on a new task queue, and warm them up."""
        api = provider or self.provider
        task_queue = f"bench-{uuid.uuid4().hex[:8]}"
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("CGB_", "TEMPORAL_"))}
        environment = kept | {
            "TEMPORAL_ADDRESS": self.server.address,
            "TEMPORAL_TASK_QUEUE": task_queue,
            "CGB_API_URL": api.url,
            "CGB_API_KEY": api.key,
            "LOG_LEVEL": "ERROR",
            **variables,
        }
        crew = Crew(self.client, self.server, api, task_queue, environment, command, log)
        try:
            crew.start_workers(count)
            while await no_worker(self.client, task_queue):
                assert all(worker.running for worker in crew.workers), "a worker did not start"
                await asyncio.sleep(0.1)
            await crew.warm_up()
            yield crew
        finally:
            crew.kill_workers()


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """Start everything in a temporary folder, with one worker that is warmed up."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = await stack.enter_async_context(
            dev_server(folder / "server.log", database=folder / "temporal.db")
        )
        provider = await stack.enter_async_context(simulator("--delay-ms", str(DELAY_MS)))
        client = await Client.connect(server.address, plugins=[contract_plugin()])
        shared = Stage(server, client, provider, folder)
        shared.crew = await stack.enter_async_context(shared.workers())
        yield shared
