"""The outcome of each row, read from the parts; works however the batch or its parts ended."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from temporalio.client import Client

from send_whatsapp.client.batches.runs import latest_run
from send_whatsapp.client.errors import KeyConflict, NotFound
from send_whatsapp.contract import names
from send_whatsapp.contract.batch import REJECTED, Row, RowOutcome
from send_whatsapp.temporal.connection import rpc
from send_whatsapp.temporal.part_history import part_outcomes, rows_of_part

REPORT_COLUMNS = ("row", "to", "outcome", "contactId", "errorType", "error", "finishedAt")

PARTS_AT_ONCE = 10
READ_PART_TIMEOUT_S = 60


async def outcomes(client: Client, key: str) -> list[RowOutcome]:
    """Return the current outcome of every row, in the order of the latest file.

    Raises NotFound, InvalidKey, TemporalUnavailable.
    """
    return _in_order([row async for part in outcomes_by_part(client, key) for row in part])


async def outcomes_by_part(client: Client, key: str) -> AsyncIterator[list[RowOutcome]]:
    """Yield the same outcomes, part by part, without the order of the file.

    Only some parts are in memory at once. Raises as `outcomes`.
    """
    try:
        run = await latest_run(client, key)
    except KeyConflict:
        run = None
    if run is None:
        raise NotFound(f"no batch has the key {key}")
    async for part in _parts_up_to(client, key, run.request.generation, run.request.planned_rows):
        yield part


async def failed_rows(client: Client, key: str) -> tuple[list[Row], list[RowOutcome]]:
    """Return the rows that failed or were never sent, and the outcomes of rows that are invalid.

    Raises NotFound, InvalidKey, TemporalUnavailable.
    """
    known = await outcomes(client, key)
    unsent = {row.key for row in known if row.outcome in ("failed", "cancelled")}
    run = await latest_run(client, key)
    rows: list[Row] = []
    for part in run.parts if run else []:
        async with rpc(client, READ_PART_TIMEOUT_S):
            rows += [row for row in await rows_of_part(client, part) if row.key in unsent]
    return rows, [row for row in known if row.key.startswith(REJECTED)]


def report_row(row: RowOutcome) -> dict[str, Any]:
    """Return the report's line of a row, by column (REPORT_COLUMNS)."""
    fields = row.model_dump(mode="json", by_alias=True)
    if row.removed:
        fields["row"] = None  # Another row of the latest file may have this number.
    return {name: fields[name] for name in REPORT_COLUMNS}


async def outcomes_up_to(
    client: Client, key: str, generation: int, planned: int | None = None
) -> list[RowOutcome]:
    """Return the outcomes of rows after the run with this generation, in the order of the file.

    `planned` is the number of rows of the run, if known: earlier runs are read only if some of its
    rows are missing.
    """
    parts = _parts_up_to(client, key, generation, planned)
    return _in_order([row async for part in parts for row in part])


async def outcomes_of_run(
    client: Client, key: str, generation: int, *, query: bool = True
) -> AsyncIterator[list[RowOutcome]]:
    """Yield the outcomes of each part that a run has so far, PARTS_AT_ONCE of them in memory.

    `query` as for `part_outcomes`.
    """

    async def read(part: str) -> list[RowOutcome]:
        async with rpc(client, READ_PART_TIMEOUT_S):
            return await part_outcomes(client, part, query=query)

    batch = names.batch_id(key)
    first = 0
    while True:
        # Part numbers have no gaps; stop at the first missing one.
        numbers = range(first, first + PARTS_AT_ONCE)
        parts = [names.part_id(batch, generation, number) for number in numbers]
        rows_by_part = await asyncio.gather(*(read(part) for part in parts))
        for rows in rows_by_part:
            yield rows
        if not all(rows_by_part):
            return
        first = numbers.stop


async def _parts_up_to(
    client: Client, key: str, generation: int, planned: int | None
) -> AsyncIterator[list[RowOutcome]]:
    """Yield the outcomes of rows after the run with this generation, each row once.

    A start that was interrupted may not have started every part. The outcomes of its other rows are
    those of earlier runs; without them, accepted rows would be sent again.
    """
    found: set[str] = set()
    for number in range(generation, 0, -1):
        async for part in outcomes_of_run(client, key, number):
            rows = [
                row
                for row in part
                if row.key not in found
                and (number == generation or not row.key.startswith(REJECTED))
            ]
            found.update(row.key for row in rows)
            yield rows
        if planned is not None and len(found) >= planned:
            break


def _in_order(rows: list[RowOutcome]) -> list[RowOutcome]:
    return sorted(rows, key=lambda row: (row.removed, row.row))
