"""Rows of batches in the list of sends: found by the digits that the parts of a batch carry."""

from temporalio.client import Client, WorkflowExecution
from temporalio.service import RPCError, RPCStatusCode

from send_whatsapp.client.links import ui_link
from send_whatsapp.client.listing import (
    LIST_TIMEOUT_S,
    ListedSend,
    SendFilter,
    quoted,
    time_terms,
)
from send_whatsapp.client.newest import newest
from send_whatsapp.client.state import status_name
from send_whatsapp.contract import attributes, names
from send_whatsapp.temporal.connection import rpc
from send_whatsapp.temporal.part_history import part_outcomes, rows_of_part


async def listed_rows(
    client: Client, wanted: SendFilter, limit: int, ui_url: str
) -> list[ListedSend]:
    """Return the rows of the newest parts that match; none unless the filter has `last4`.

    The `id` of a row is the workflow id of its batch. Raises TemporalUnavailable.
    """
    if not wanted.last4:
        return []
    terms = [
        f"WorkflowType = {quoted(names.PART_WORKFLOW)}",
        f"{attributes.ROWS_LAST4.name} = {quoted(wanted.last4)}",
        *time_terms(wanted),
    ]

    async def rows(part: WorkflowExecution) -> list[ListedSend] | None:
        return await _matching_rows(client, part, wanted, ui_url) or None

    try:
        async with rpc(client, LIST_TIMEOUT_S):
            parts = await newest(client, " AND ".join(terms), limit, rows)
    except RPCError as error:
        if error.status == RPCStatusCode.INVALID_ARGUMENT:
            return []  # The server does not know the attribute, so no part has it.
        raise
    return [row for part in parts for row in part]


async def _matching_rows(
    client: Client, part: WorkflowExecution, wanted: SendFilter, ui_url: str
) -> list[ListedSend]:
    requests = {row.key: row.request for row in await rows_of_part(client, part.id)}
    key = names.batch_key(part.id) or ""
    found = []
    for row in await part_outcomes(client, part.id):
        request = requests.get(row.key)
        # Outcomes of earlier runs, which a part may hold as well, are listed with their own part.
        if request is None or not row.to.endswith(wanted.last4 or ""):
            continue
        listed = ListedSend(
            id=names.batch_id(key),
            run_id=part.run_id,
            status=status_name(part.status),
            outcome=row.outcome,
            template=request.template,
            kind=request.requested_kind,
            last4=row.to[-4:],
            error_type=row.error_type,
            started_at=part.start_time,
            ui_url=ui_link(ui_url, client.namespace, part.id, part.run_id),
            batch=key,
            row=row.row,
        )
        if wanted.matches(listed):
            found.append(listed)
    return found
