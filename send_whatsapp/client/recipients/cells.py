"""What the readers of recipient files return: rows by line number, or what is wrong with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from send_whatsapp.contract.batch import REJECTED, RowOutcome
from send_whatsapp.contract.errors import ErrorType, FieldProblem, utc

Cells = dict[str, Any]
"""The cells of one row by the name of their column; `variables` is an object of further ones."""

NOT_A_NUMBER = "is not a phone number"
"""The problem of `to` whose `expected` says what to write instead."""

_MAX_WHY = 500
_MAX_PROBLEMS = 5
_MAX_TO = 100


def printable(text: str) -> str:
    """Return text that a terminal shows on one line: `?` for line breaks and control characters."""
    return "".join(character if character.isprintable() else "?" for character in text)


class FileError(ValueError):
    """The file cannot be read or has no recipients; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class UnusableCell:
    """A cell whose content cannot be sent as the file shows it: what is wrong, what is expected."""

    problem: str
    expected: str


MERGED = UnusableCell(
    "is part of a merged cell, whose content belongs to another row or column",
    "a cell of its own: unmerge the cells and fill each of them",
)
"""A cell that lies below or beside the one that holds the content of a merged cell."""


@dataclass(frozen=True)
class WrongRow:
    """A row that cannot be sent: its line, its number if it has one, the error type and why.

    `problems` names the wrong fields, unless the line could not be split into cells.
    """

    row: int
    to: str
    type: str
    why: str
    problems: tuple[FieldProblem, ...] = ()

    def __str__(self) -> str:
        """Return the line and what is wrong with it."""
        return f"line {self.row}: {self.why}"

    def outcome(self) -> RowOutcome:
        """Return the row's entry in the report of a batch that leaves it out."""
        return RowOutcome(
            row=self.row,
            key=f"{REJECTED}{self.row}",
            # The report cannot hold text that is not valid Unicode.
            to=self.to[:_MAX_TO].encode(errors="replace").decode(),
            outcome="failed",
            error_type=self.type,
            error=self.why,
            finished_at=utc(datetime.now(UTC)),
        )


def malformed_row(row: int, why: str) -> WrongRow:
    """Return a line that cannot be split into cells."""
    return WrongRow(row, "", ErrorType.INVALID_REQUEST, why)


def wrong_row(row: int, to: str, type_: ErrorType, problems: Sequence[FieldProblem]) -> WrongRow:
    """Return a row whose fields are wrong."""
    listed = printable("; ".join(map(_sentence, problems[:_MAX_PROBLEMS])))
    if len(problems) > _MAX_PROBLEMS:
        listed += f"; and {len(problems) - _MAX_PROBLEMS} more"
    if len(listed) > _MAX_WHY:
        listed = f"{listed[:_MAX_WHY]}..."
    return WrongRow(row, to, type_, listed, tuple(problems))


def _sentence(problem: FieldProblem) -> str:
    if problem.problem == NOT_A_NUMBER:
        return f"{problem.field}: {problem.expected}"
    return str(problem)


NumberedRow = tuple[int, Cells | WrongRow]
"""A row with its line number, which begins at 1 and counts blank lines and the header."""

NumberedRows = list[NumberedRow]


class Table(NamedTuple):
    """The content of a file: what each of its columns becomes in a row, and its rows.

    `columns` maps names in the file, in its order, to the names of fields or template variables.
    """

    columns: dict[str, str]
    rows: NumberedRows
