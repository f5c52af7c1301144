"""The send windows of the rows of a part: when they are open, or open next."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.contacts import ContactActivities
from activities.failures import map_unexpected_errors
from send_whatsapp.contract.opening_times import Opening, opening
from send_whatsapp.contract.send_window import SendWindow


class RowWindow(BaseModel):
    """The number of a row, its recipient, its window, and the time at which it may be sent."""

    row: int
    to: str
    window: SendWindow
    at: datetime


class RowsOpening(Opening):
    """The rows that may be sent in the same time."""

    rows: list[int]


class WindowActivities:
    """Finds the opening times of windows. Runs record them, so that a replay has the same."""

    def __init__(self, contacts: ContactActivities) -> None:
        self._contacts = contacts

    @activity.defn
    async def find_openings(self, rows: list[RowWindow]) -> list[RowsOpening]:
        """Return the opening times and their rows, without rows that have a wrong number."""
        with map_unexpected_errors():
            return self._openings(rows)

    def _openings(self, rows: Sequence[RowWindow]) -> list[RowsOpening]:
        found: dict[tuple[datetime, datetime, datetime, str], RowsOpening] = {}
        for row in rows:
            try:
                number = self._contacts.e164(row.to)
            except ApplicationError:
                continue  # The row fails with this error when it is sent.
            opens = opening(row.window, number, row.at)
            key = (opens.at, opens.opens_at, opens.closes_at, opens.zone)
            known = found.setdefault(key, RowsOpening(**dict(opens), rows=[]))
            known.rows.append(row.row)
        return list(found.values())
