"""`make api-fuzz`: schemathesis calls a gateway with generated requests and checks its answers."""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from temporalio.client import Client

from send_whatsapp.contract.names import DEFAULT_TASK_QUEUE
from send_whatsapp.temporal.task_queue import no_worker
from simulator.process import simulator
from tools.dev_server import ROOT, dev_server, free_port
from tools.fault_injector import worker_environment

BIN = Path(sys.executable).parent
SCHEMATHESIS = "schemathesis==4.32.5"
READY_WITHIN_S = 60
TOKEN = "the-token-of-the-fuzzer"

WITHOUT = (
    # The document cannot say which texts are phone numbers, and whose key has another request.
    "positive_data_acceptance",
    # A key may contain slashes, so `GET /v1/batches/k/pause` reads the batch `k/pause`.
    "allow_header_conformance",
    # DELETE cancels a message, whose state can be read afterwards.
    "use_after_free",
)
"""Checks that the gateway is right to fail."""


@contextmanager
def program(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[None]:
    """Run a command until the block ends."""
    with log.open("ab") as sink:
        process = subprocess.Popen(command, env=environment, stdout=sink, stderr=sink)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


async def fuzz(examples: int, seed: int, more: Sequence[str]) -> int:
    """Return the exit code of schemathesis, 0 if it has found no fault."""
    with tempfile.TemporaryDirectory() as name:
        folder, bind = Path(name), f"127.0.0.1:{free_port()}"
        async with simulator() as provider, dev_server(folder / "server.log") as server:
            environment = worker_environment(
                TEMPORAL_ADDRESS=server.address,
                CGB_API_URL=provider.url,
                CGB_API_KEY=provider.key,
                GATEWAY_BIND=bind,
                GATEWAY_TOKENS=f"fuzzer:{TOKEN}",
            )
            gateway = [str(BIN / "send-whatsapp"), "gateway"]
            with (
                program([sys.executable, str(ROOT / "worker.py")], environment, folder / "worker"),
                program(gateway, environment, folder / "gateway"),
            ):
                await _until_ready(f"http://{bind}/readyz", await Client.connect(server.address))
                command = [
                    *(str(BIN / "uv"), "tool", "run", "--quiet", "--from", SCHEMATHESIS, "st"),
                    *("run", f"http://{bind}/openapi.json", "--exclude-checks", ",".join(WITHOUT)),
                    *("--max-examples", str(examples), "--seed", str(seed)),
                    *("--header", f"Authorization: Bearer {TOKEN}", "--request-timeout", "30"),
                    *more,
                ]
                hooks = {"SCHEMATHESIS_HOOKS": "tools/api_fuzz_hooks.py"}
                process = await asyncio.create_subprocess_exec(
                    *command, env=os.environ | hooks, cwd=ROOT
                )
                return await process.wait()


async def _until_ready(url: str, client: Client) -> None:
    async with httpx.AsyncClient(trust_env=False) as http, asyncio.timeout(READY_WITHIN_S):
        while True:
            try:
                ready = (await http.get(url)).status_code == 200
                if ready and not await no_worker(client, DEFAULT_TASK_QUEUE):
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)


def main() -> None:
    """Exit with the code of schemathesis; options that are not ours go to it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=50, help="examples for each operation")
    parser.add_argument("--seed", type=int, default=1)
    given, more = parser.parse_known_args()
    sys.exit(asyncio.run(fuzz(given.examples, given.seed, more)))


if __name__ == "__main__":
    main()
