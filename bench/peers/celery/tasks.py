"""Celery on Redis, with late acknowledgement and automatic retries, as its docs advise."""

import os

import httpx
from celery import Celery

URL, KEY = os.environ["CGB_API_URL"], os.environ["CGB_API_KEY"]

app = Celery("sends", broker=os.environ["BENCH_BROKER"])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    # How long the task of a killed worker waits; an hour by default.
    broker_transport_options={"visibility_timeout": 30},
    broker_connection_retry_on_startup=True,
)

client = httpx.Client(base_url=URL, headers={"X-ACCESS-TOKEN": KEY}, timeout=30)


@app.task(autoretry_for=(httpx.HTTPError,), retry_backoff=True, max_retries=3)
def send(digits: str) -> None:
    """Send the text."""
    response = client.post(
        f"/contacts/{digits}/send/text", json={"text": "Hello", "channel": "whatsapp"}
    )
    response.raise_for_status()
