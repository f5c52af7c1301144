"""Taskiq on Redis streams, with acknowledgements and the retry middleware."""

import os

import httpx
from taskiq import SmartRetryMiddleware, TaskiqEvents, TaskiqState
from taskiq_redis import RedisStreamBroker

URL, KEY = os.environ["CGB_API_URL"], os.environ["CGB_API_KEY"]

broker = RedisStreamBroker(
    os.environ["BENCH_BROKER"],
    # How long the task of a killed worker waits; ten minutes by default.
    idle_timeout=30_000,
    # Otherwise the lock of a crashed worker may stay forever.
    unacknowledged_lock_timeout=10,
).with_middlewares(
    SmartRetryMiddleware(
        default_retry_count=3,
        default_retry_label=True,
        default_delay=1,
        use_jitter=True,
        use_delay_exponent=True,
    )
)


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def open_client(state: TaskiqState) -> None:
    """Open the client that all tasks share."""
    state.client = httpx.AsyncClient(base_url=URL, headers={"X-ACCESS-TOKEN": KEY}, timeout=30)


@broker.task
async def send(digits: str) -> None:
    """Send the text."""
    response = await broker.state.client.post(
        f"/contacts/{digits}/send/text", json={"text": "Hello", "channel": "whatsapp"}
    )
    response.raise_for_status()
