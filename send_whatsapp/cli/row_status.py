"""What `status` shows for an id that is not that of a send: a row of a batch, or where to look."""

from shlex import quote

from send_whatsapp.cli.output import Exit
from send_whatsapp.cli.run import Session
from send_whatsapp.client import batches
from send_whatsapp.client.errors import KeyConflict, NotFound
from send_whatsapp.contract import names
from send_whatsapp.contract.batch import RowOutcome
from send_whatsapp.contract.names import InvalidKey
from send_whatsapp.contract.result import Outcome

_EXIT_CODES: dict[Outcome, Exit] = {
    "running": Exit.STILL_RUNNING,
    "accepted": Exit.ACCEPTED,
    "unknown": Exit.UNKNOWN,
}


async def show_row_or_batch(session: Session, id_: str, error: NotFound) -> Exit:
    """Print the row of a batch whose key is `id_`, and return its exit code.

    Raises NotFound with the command that shows the batch if `id_` belongs to one, else `error`.
    """
    for key in (names.batch_key(id_), id_):
        if key and await _is_batch(session, key):
            raise NotFound(
                f"{id_} is a batch, not a send: run send-whatsapp batch status {quote(key)}"
            ) from None
    # By default the key of a row is that of its batch and the number.
    key, slash, _ = id_.rpartition("/")
    if not slash or not await _is_batch(session, key):
        raise error
    for row in await batches.outcomes(session.client, key):
        if row.key == id_:
            _show(session, key, row)
            return _EXIT_CODES.get(row.outcome, Exit.FAILED)
    raise NotFound(f"the batch {key} has no row with the key {id_}") from None


async def _is_batch(session: Session, key: str) -> bool:
    try:
        return await batches.exists(session.client, key)
    except (InvalidKey, KeyConflict):
        return False


def _show(session: Session, key: str, row: RowOutcome) -> None:
    lines = [f"{row.outcome}  {row.key}", f"  row {row.row} of the batch {key}"]
    if row.error:
        lines.append(f"  {row.error_type}: {row.error}")
    value = {"id": row.key, "batch": key, **batches.report_row(row)}
    session.output.result(value, "\n".join(lines))
