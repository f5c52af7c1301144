"""DBOS on PostgreSQL: a durable workflow with one step, from a queue."""

import os
import threading

import httpx
from dbos import DBOS

URL, KEY = os.environ["CGB_API_URL"], os.environ["CGB_API_KEY"]
IN_FLIGHT = 50

DBOS(
    config={
        "name": "sends",
        "system_database_url": os.environ["BENCH_BROKER"],
        "log_level": "ERROR",
        "application_version": "1",
    }
)
client = httpx.AsyncClient(base_url=URL, headers={"X-ACCESS-TOKEN": KEY}, timeout=30)


@DBOS.step(retries_allowed=True, max_attempts=4, interval_seconds=1.0, backoff_rate=2.0)
async def send_text(digits: str) -> None:
    """Send the text."""
    response = await client.post(
        f"/contacts/{digits}/send/text", json={"text": "Hello", "channel": "whatsapp"}
    )
    response.raise_for_status()


@DBOS.workflow(name="send")
async def send(digits: str) -> None:
    """Send, as a workflow with one recorded step."""
    await send_text(digits)


if __name__ == "__main__":
    DBOS.launch()
    # By default it polls once a second, which limits it to 50 sends per second.
    DBOS.register_queue("sends", worker_concurrency=IN_FLIGHT, polling_interval_sec=0.1)
    threading.Event().wait()
