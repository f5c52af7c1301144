"""What a chaos run sends: single messages and a batch, which are withdrawn or paused at random."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import (
    PauseActivityRequest,
    ResetActivityRequest,
    UnpauseActivityRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError

from send_whatsapp.client import batches, sends
from send_whatsapp.client.errors import KeyConflict, OutcomeUnknown
from send_whatsapp.client.state import get_state
from send_whatsapp.contract.batch import Row
from send_whatsapp.contract.names import SEND_ACTIVITY_ID
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.temporal.connection import NO_ANSWER, TemporalUnavailable
from tools.chaos_report import Sent

T = TypeVar("T")

CANCEL_PROBABILITY = 0.1
EXPIRE_PROBABILITY = 0.1
PAUSE_PROBABILITY = 0.1

MESSAGES: list[dict[str, Any]] = [
    {"message": "Hello"},
    {"template": "visa_approved", "variables": {"name": "Ada"}},
    {"fileUrl": "https://example.org/a.pdf", "fileType": "document"},
]


async def send(client: Client, one: Sent, chance: random.Random) -> None:
    """Start one send, sometimes withdraw or pause it, and record how it ended."""
    fields: dict[str, Any] = {"to": one.phone, "delivery": one.delivery} | chance.choice(MESSAGES)
    if chance.random() < EXPIRE_PROBABILITY:
        fields["expiresAt"] = datetime.now(UTC) + timedelta(seconds=chance.uniform(2, 10))
    request = SendWhatsAppRequest.model_validate(fields)
    # A retried start may find that the run has already ended as unknown.
    with suppress(OutcomeUnknown):
        await _persist(lambda: sends.start_send(client, request, key=one.id))
    paused = None
    if chance.random() < PAUSE_PROBABILITY:
        paused = asyncio.create_task(_pause_and_resume(client, one.id, chance))
    if chance.random() < CANCEL_PROBABILITY:
        await asyncio.sleep(chance.uniform(0, 3))
        state = await _persist(lambda: get_state(client, one.id))
        await _persist(lambda: sends.request_cancel(client, state))
    ended = await _persist(lambda: get_state(client, one.id, wait=True))
    one.outcome = ended.outcome
    if paused:
        await paused


async def _pause_and_resume(client: Client, workflow_id: str, chance: random.Random) -> None:
    """Pause the send as an operator does, if it is pending, and later unpause or reset it."""
    run, space = WorkflowExecution(workflow_id=workflow_id), client.namespace
    pause = PauseActivityRequest(namespace=space, execution=run, id=SEND_ACTIVITY_ID)
    reset = ResetActivityRequest(namespace=space, execution=run, id=SEND_ACTIVITY_ID)
    unpause = UnpauseActivityRequest(namespace=space, execution=run, id=SEND_ACTIVITY_ID)
    await asyncio.sleep(chance.uniform(0, 2))
    await _operate(lambda: client.workflow_service.pause_activity(pause))
    await asyncio.sleep(chance.uniform(0, 10))
    if chance.random() < 0.3:
        await _operate(lambda: client.workflow_service.reset_activity(reset))
    await _operate(lambda: client.workflow_service.unpause_activity(unpause))


async def _operate(command: Callable[[], Awaitable[object]]) -> None:
    """Repeat an operator's command until the server answers; the send may have ended meanwhile."""
    while True:
        try:
            async with asyncio.timeout(10):
                await command()
            return
        except TimeoutError:
            continue
        except RPCError as error:
            if error.status not in NO_ANSWER:
                return
            await asyncio.sleep(0.2)


async def send_batch(client: Client, sent: list[Sent], chance: random.Random) -> None:
    """Send these as the rows of a batch, cancel it after some seconds, and record each outcome."""
    rows = [
        Row(
            row=number,
            key=one.id,
            request=SendWhatsAppRequest(to=one.phone, message="Hello", delivery=one.delivery),
        )
        for number, one in enumerate(sent, 1)
    ]
    key = f"chaos-{chance.random()}"
    await _persist(lambda: batches.start(client, key, rows, []))
    await asyncio.sleep(chance.uniform(3, 10))
    with suppress(KeyConflict):
        await _persist(lambda: batches.cancel(client, key))
    while (await _persist(lambda: batches.get_status(client, key))).running:
        await asyncio.sleep(0.5)
    outcomes = {row.key: row.outcome for row in await batches.outcomes(client, key)}
    for one in sent:
        one.outcome = outcomes[one.id]


async def _persist(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat a call to the server until the server answers."""
    while True:
        try:
            return await call()
        except TemporalUnavailable:
            await asyncio.sleep(0.2)
