"""The latest run of a batch under its key, and the parts of that run."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from temporalio.client import Client
from temporalio.service import RPCError

from send_whatsapp.client.errors import KeyConflict, KeyInUse, NotFound
from send_whatsapp.client.origin import Origin
from send_whatsapp.client.state import describe, status_name
from send_whatsapp.contract import names
from send_whatsapp.contract.part_signals import PartControl
from send_whatsapp.contract.parts import BatchInput
from send_whatsapp.temporal.connection import rpc
from send_whatsapp.temporal.history import started_with

LAST_SEQUENCE = 2**31
"""Sequence number above those of all control messages that a batch sends."""

PARTS_END_WITHIN_S = 60.0


@dataclass(frozen=True)
class BatchRun:
    """What the latest run of a batch was started with, by which caller, and whether it runs."""

    request: BatchInput
    running: bool
    origin: Origin

    @property
    def parts(self) -> list[str]:
        """The workflow ids of the run's parts, including parts that were never started."""
        batch, generation = names.batch_id(self.request.key), self.request.generation
        return [
            names.part_id(batch, generation, number)
            for number in range(len(self.request.planned_parts))
        ]


async def latest_run(client: Client, key: str) -> BatchRun | None:
    """Return the latest run of a batch; None if the key has none.

    Raises KeyInUse if the id of the key belongs to another workflow, InvalidKey,
    TemporalUnavailable.
    """
    handle = client.get_workflow_handle(names.batch_id(key))
    try:
        described = await describe(client, handle)
    except NotFound:
        return None
    if described.workflow_type != names.BATCH_WORKFLOW:
        raise KeyInUse(
            f"the id {handle.id} belongs to a {described.workflow_type}: nothing was started,"
            " use another key"
        )
    async with rpc(client):
        request = await started_with(client, handle, BatchInput)
    if request is None:
        return None
    running = status_name(described.status) == "Running"
    return BatchRun(request, running, await Origin.of(described))


class FoundBatch(NamedTuple):
    """The latest run of a batch, and the caller that owns it; None: no caller."""

    run_id: str
    caller: str | None


async def find(client: Client, key: str) -> FoundBatch:
    """Return the latest run of a batch. Raises NotFound, InvalidKey, TemporalUnavailable."""
    described = await describe(client, client.get_workflow_handle(names.batch_id(key)))
    if described.workflow_type != names.BATCH_WORKFLOW:
        raise NotFound(f"no batch has the key {key}")
    return FoundBatch(described.run_id, (await Origin.of(described)).caller)


async def exists(client: Client, key: str) -> bool:
    """Return whether a batch has this key. Raises as `latest_run`."""
    return await latest_run(client, key) is not None


async def end_parts(client: Client, run: BatchRun) -> None:
    """Cancel the parts of a closed run, and wait until none of them sends any more.

    Raises KeyConflict if that takes too long, TemporalUnavailable.
    """
    key = run.request.key
    message = PartControl(batch=names.batch_id(key), sequence=LAST_SEQUENCE, cancelled=True)

    async def end(part: str) -> None:
        handle = client.get_workflow_handle(part)
        while True:
            try:
                described = await describe(client, handle)
            except NotFound:
                return
            if status_name(described.status) != "Running":
                return
            with suppress(RPCError):
                await handle.signal(names.CONTROL_SIGNAL, message)
            await asyncio.sleep(0.5)

    try:
        async with asyncio.timeout(PARTS_END_WITHIN_S):
            await asyncio.gather(*(end(part) for part in run.parts))
    except TimeoutError:
        raise KeyConflict(
            f"the previous run under the key {key} is still sending: nothing was started, check"
            " that a worker serves the task queue and try again in a minute"
        ) from None
