"""How a caller wants a file of recipients to be read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class HiddenRows(StrEnum):
    """What to do with rows that Excel does not show, for example because of a filter."""

    REFUSE = "refuse"
    SEND = "send"
    SKIP = "skip"


@dataclass(frozen=True)
class ReadOptions:
    """The options of `batch send` that say how a file is read.

    `column_map` has the names of columns by the names that a row has in the contract; `header_row`
    is the number of the line with the names of the columns.
    """

    column_map: Mapping[str, str] = field(default_factory=dict)
    header_row: int | None = None
    sheet: str | None = None
    hidden_rows: HiddenRows = HiddenRows.REFUSE
    encoding: str | None = None
