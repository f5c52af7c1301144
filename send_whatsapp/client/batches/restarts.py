"""The rules for starting a key again: which rows are sent, and which outcomes are kept.

Pure, so that a table of cases tests it (docs/batches.md, "The same key again").
"""

from collections.abc import Sequence
from dataclasses import dataclass

from send_whatsapp.client.batches.packed_rows import AnyRows
from send_whatsapp.client.batches.runs import BatchRun
from send_whatsapp.client.errors import KeyConflict
from send_whatsapp.contract.batch import REJECTED, RowOutcome


@dataclass(frozen=True)
class Restart:
    """What the next run of a batch does: the rows to send, and the outcomes of all others."""

    generation: int
    rows: AnyRows
    known: list[RowOutcome]


def is_sending(previous: BatchRun | None, key: str, digest: str) -> bool:
    """Return whether the latest run sends these rows and needs nothing more from a starter.

    Raises KeyConflict if it sends other rows. False if its start was interrupted, or may have been.
    """
    if previous is None or not previous.running:
        return False
    if previous.request.digest != digest:
        raise KeyConflict(
            f"the batch {key} is still sending other rows: wait for it, or cancel it first"
        )
    # A run with a checkpoint has continued as new, so its parts had all been started.
    return previous.request.checkpoint is not None


def plan_restart(
    previous: BatchRun | None,
    rows: AnyRows,
    invalid: Sequence[RowOutcome],
    known: Sequence[RowOutcome],
    *,
    resend_unknown: bool,
    is_whole_file: bool,
) -> Restart | None:
    """Return the next run of a batch; None if it would change nothing.

    `invalid` are the outcomes of invalid rows, `known` those of all runs that have ended. If the
    latest run is still running, its start was interrupted, and the plan repeats that start.
    `resend_unknown` and `is_whole_file` as for `start`.
    """
    to_send, kept = split_settled(
        rows, known, resend_unknown=resend_unknown, is_whole_file=is_whole_file
    )
    outcomes = [*invalid, *kept]
    if previous is None:
        return Restart(1, to_send, outcomes)
    if previous.running:
        return Restart(previous.request.generation, to_send, outcomes)
    if not to_send and _in_report(outcomes) == _in_report(known):
        return None
    return Restart(previous.request.generation + 1, to_send, outcomes)


def split_settled(
    rows: AnyRows, known: Sequence[RowOutcome], *, resend_unknown: bool, is_whole_file: bool
) -> tuple[AnyRows, list[RowOutcome]]:
    """Return the rows to send, and the outcomes of the others.

    Accepted rows are settled, and unknown ones too unless `resend_unknown`. A row that the latest
    file no longer has keeps its outcome, so that it is never sent again by accident; it is marked
    as removed if `is_whole_file`: `rows` are all rows of that file.
    """
    if not known:
        return rows, []  # They may be packed, and stay so.
    settled = ("accepted",) if resend_unknown else ("accepted", "unknown")
    to_send = {row.key: row for row in rows}
    kept: list[RowOutcome] = []
    for row in known:
        if row.key in to_send:
            if row.outcome in settled:
                line = to_send.pop(row.key).row
                kept.append(row.model_copy(update={"row": line, "removed": False}))
        elif not row.key.startswith(REJECTED):
            kept.append(row.model_copy(update={"removed": row.removed or is_whole_file}))
    return list(to_send.values()), kept


def _in_report(rows: Sequence[RowOutcome]) -> set[tuple[str, int, bool, str | None]]:
    """Return the fields of the report that may change even if there is nothing to send."""
    return {(row.key, row.row, row.removed, row.error) for row in rows}
