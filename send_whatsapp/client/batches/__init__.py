"""Batches for Python callers: start, follow and control one, and read the outcome of each row."""

from send_whatsapp.client.batches.commands import cancel, pause, resume, set_rate
from send_whatsapp.client.batches.packed_rows import AnyRows, PackedRows
from send_whatsapp.client.batches.row_outcomes import (
    REPORT_COLUMNS,
    failed_rows,
    outcomes,
    outcomes_by_part,
    report_row,
)
from send_whatsapp.client.batches.starting import BatchLimits, start
from send_whatsapp.client.batches.status import BatchStatus, get_status

__all__ = [
    "REPORT_COLUMNS",
    "AnyRows",
    "BatchLimits",
    "BatchStatus",
    "PackedRows",
    "cancel",
    "failed_rows",
    "get_status",
    "outcomes",
    "outcomes_by_part",
    "pause",
    "report_row",
    "resume",
    "set_rate",
    "start",
]
