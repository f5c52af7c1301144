"""Taskiq on Redis streams: the broker that acknowledges, and the retry middleware."""

import os

import httpx
from taskiq import SmartRetryMiddleware, TaskiqEvents, TaskiqState
from taskiq_redis import RedisStreamBroker

URL, KEY = os.environ["CGB_API_URL"], os.environ["CGB_API_KEY"]

broker = RedisStreamBroker(
    os.environ["BENCH_BROKER"],
    # Its default is ten minutes: so long does a killed worker's task wait.
    idle_timeout=30_000,
    # Its docs: "useful when the worker crashes"; without it the lock can stay for ever.
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
    answer = await broker.state.client.post(
        f"/contacts/{digits}/send/text", json={"text": "Hello", "channel": "whatsapp"}
    )
    answer.raise_for_status()
