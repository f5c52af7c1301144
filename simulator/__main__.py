"""Run the simulated provider until SIGTERM or SIGINT: `python -m simulator`."""

import argparse
import asyncio
import json
import socket
import sys
from contextlib import suppress
from pathlib import Path

import uvicorn

from simulator.app import create_app
from simulator.connections import TrackedProtocol
from simulator.provider import Provider
from simulator.state import State


async def serve(arguments: argparse.Namespace, listener: socket.socket) -> None:
    """Serve, and print the URL on standard output once the simulator listens."""
    flows = json.loads(arguments.flows.read_text()) if arguments.flows else None
    provider = Provider(
        State(flows, render_delay_ms=arguments.render_delay_ms),
        arguments.key,
        delay_ms=arguments.delay_ms,
        rate_per_minute=arguments.rate_limit,
    )
    config = uvicorn.Config(
        create_app(provider),
        http=TrackedProtocol,
        log_level="error",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
        timeout_keep_alive=30,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if server.started:
        port = listener.getsockname()[1]
        print(f"simulator ready on http://{arguments.host}:{port}/api", flush=True)
    await serving


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9090, help="0: any free port")
    parser.add_argument("--key", default="demo-key")
    parser.add_argument("--flows", type=Path, help="JSON file with a list of {id, name, text}")
    parser.add_argument("--delay-ms", type=int, default=0, help="milliseconds before each response")
    parser.add_argument(
        "--render-delay-ms", type=int, default=0, help="milliseconds until a flow is rendered"
    )
    parser.add_argument("--rate-limit", type=int, help="calls per minute; more get code 429")
    arguments = parser.parse_args()
    try:
        listener = socket.create_server((arguments.host, arguments.port))
    except (OSError, OverflowError) as error:
        sys.exit(
            f"The simulator cannot listen on {arguments.host}:{arguments.port} ({error}): stop what"
            " uses this port, or give another one with --port"
        )
    # uvicorn has closed everything when it passes Ctrl-C on.
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(arguments, listener))


if __name__ == "__main__":
    main()
