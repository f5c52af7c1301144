"""Names the cells of CSV and Excel rows by the header line above them."""

from collections.abc import Iterable

from send_whatsapp.client.recipients.cells import FileError, NumberedRows, Table, malformed_row


def table_with_header(lines: Iterable[tuple[int, list[str]]]) -> Table:
    """Return the columns that the first line with text names, and the rows below it.

    Blank lines are skipped. Raises FileError if two columns have the same name.
    """
    header: list[str] | None = None
    rows: NumberedRows = []
    for number, cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        if header is None:
            header = [cell.strip() for cell in cells]
            names = [name for name in header if name]
            if len(set(names)) != len(names):
                raise FileError("The file has two columns with the same name: rename one of them")
        elif _has_cell_without_column(cells, header):
            rows.append((number, malformed_row(number, "has too many cells")))
        else:
            pairs = zip(header, cells, strict=False)
            rows.append((number, {name: cell for name, cell in pairs if name}))
    return Table(set(header or ()) - {""}, rows)


def _has_cell_without_column(cells: list[str], header: list[str]) -> bool:
    return len(cells) > len(header) or any(
        cell and not name for name, cell in zip(header, cells, strict=False)
    )
