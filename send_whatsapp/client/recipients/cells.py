"""What the readers of recipient files return: rows by line number, or what is wrong with them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from send_whatsapp.contract.batch import REJECTED, RowOutcome
from send_whatsapp.contract.errors import ErrorType, utc

Cells = dict[str, Any]
"""The cells of one row by the name of their column."""


class FileError(ValueError):
    """The file cannot be read or has no recipients; the message is one sentence."""


@dataclass(frozen=True)
class WrongRow:
    """A row that cannot be sent: its line, its number if it has one, the error type and why."""

    row: int
    to: str
    type: str
    why: str

    def __str__(self) -> str:
        """Return the line and what is wrong with it."""
        return f"line {self.row}: {self.why}"

    def outcome(self) -> RowOutcome:
        """Return the row's entry in the report of a batch that leaves it out."""
        return RowOutcome(
            row=self.row,
            key=f"{REJECTED}{self.row}",
            # The report cannot hold text that is not valid Unicode.
            to=self.to.encode(errors="replace").decode(),
            outcome="failed",
            error_type=self.type,
            error=self.why,
            finished_at=utc(datetime.now(UTC)),
        )


def malformed_row(row: int, why: str) -> WrongRow:
    """Return a line that cannot be split into cells."""
    return WrongRow(row, "", ErrorType.INVALID_REQUEST, why)


NumberedRows = list[tuple[int, Cells | WrongRow]]
"""Each row with its line number, which begins at 1 and counts blank lines and the header."""


class Table(NamedTuple):
    """The content of a file: the names of its columns, and its rows."""

    columns: set[str]
    rows: NumberedRows
