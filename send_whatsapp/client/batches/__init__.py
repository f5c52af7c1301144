"""Batches for Python callers: start, follow and control one, and read the outcome of each row."""

from send_whatsapp.client.batches.commands import cancel, pause, resume, set_rate
from send_whatsapp.client.batches.listing import ListedBatch, list_batches
from send_whatsapp.client.batches.packed_rows import AnyRows, PackedRows
from send_whatsapp.client.batches.row_outcomes import (
    REPORT_COLUMNS,
    failed_rows,
    outcomes,
    outcomes_by_part,
    report_row,
)
from send_whatsapp.client.batches.runs import exists
from send_whatsapp.client.batches.starting import BatchLimits, start
from send_whatsapp.client.batches.status import BatchStatus, get_status, timing

__all__ = [
    "REPORT_COLUMNS",
    "AnyRows",
    "BatchLimits",
    "BatchStatus",
    "ListedBatch",
    "PackedRows",
    "cancel",
    "exists",
    "failed_rows",
    "get_status",
    "list_batches",
    "outcomes",
    "outcomes_by_part",
    "pause",
    "report_row",
    "resume",
    "set_rate",
    "start",
    "timing",
]
