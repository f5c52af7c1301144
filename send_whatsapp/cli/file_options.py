"""Options of `batch send` that say how its file is read."""

from typing import Annotated

import typer

from send_whatsapp.cli.errors import UsageError
from send_whatsapp.cli.options import name_values
from send_whatsapp.client.recipients.reading import HiddenRows
from send_whatsapp.client.recipients.row_fields import EmptyCells

ColumnMap = Annotated[
    list[str] | None,
    typer.Option(
        "--column-map", help="to=Phone reads `to` from the column Phone; repeat it for each column."
    ),
]
HeaderRow = Annotated[
    int | None,
    typer.Option(
        "--header-row",
        help="Line with the names of the columns, if it is not the first one with text.",
        min=1,
    ),
]
SheetName = Annotated[
    str | None, typer.Option("--sheet", help="Sheet of an Excel file, by default the first one.")
]
Hidden = Annotated[
    HiddenRows,
    typer.Option("--hidden-rows", help="Rows that Excel does not show, also because of a filter."),
]
Empty = Annotated[
    EmptyCells,
    typer.Option("--empty-cells", help="Variables without a value: refuse or leave them out."),
]
Encoding = Annotated[
    str | None,
    typer.Option(
        "--encoding",
        help="Encoding of a text file that is not UTF-8, for example cp1252, cp1255 or shift_jis.",
    ),
]


def column_map(pairs: list[str] | None) -> dict[str, str]:
    """Return the columns of --column-map by the names they have in a row. Raises UsageError."""
    columns = name_values("--column-map", pairs)
    if len(set(columns.values())) < len(columns):
        raise UsageError("--column-map reads one column twice: give each column one name")
    return columns
