"""The rows of a batch over HTTP: each checked as a whole request, one row for each person."""

from send_whatsapp.client.recipients import rows as recipients
from send_whatsapp.client.recipients.cells import Cells, WrongRow
from send_whatsapp.client.recipients.rows import Duplicates, each_person_once
from send_whatsapp.contract.batch import Row
from send_whatsapp.contract.batch_body import (
    BatchBody,
    BatchContent,
    BatchOptions,
    BatchRecipient,
)
from send_whatsapp.contract.errors import FieldProblem
from send_whatsapp.gateway.problems import invalid_fields

MAX_PROBLEMS = 100
REFUSED = "Nothing was sent, because some rows are invalid"


def rows_of(body: BatchBody, region: str) -> list[Row]:
    """Return the rows of a body, numbered from 1, as those of a file with an object `variables`.

    `region` (ISO 3166) is the one whose rules a number without `+` is read by. Raises Problem (422)
    that names what is wrong by its path.
    """
    cells = [(number, cells_of(row)) for number, row in enumerate(body.rows, 1)]
    rows, wrong = recipients.rows_of(cells, common_cells(body), body.key, region)
    rows, clashes = each_person_once(rows, body.key, Duplicates.REFUSE)
    found = [problem for row in wrong for problem in _problems(row)]
    found += [
        FieldProblem(
            field=f"rows.{later - 1}.to",
            problem=f"is for the same person or key as rows.{first - 1}",
            expected="one row for each person, or a different key in each row",
        )
        for first, later in clashes
    ]
    if found:
        raise invalid_fields(REFUSED, found, limit=MAX_PROBLEMS)
    return rows


def common_cells(options: BatchOptions) -> Cells:
    """Return the fields that all rows share."""
    return options.model_dump(
        mode="json",
        by_alias=True,
        include={
            *BatchContent.model_fields,
            "delivery",
            "expires_at",
            "ignore_opt_out",
            "in_order",
            "send_window",
        },
        exclude_none=True,
    )


def cells_of(row: BatchRecipient) -> Cells:
    """Return the fields of a row."""
    return row.model_dump(mode="json", by_alias=True, exclude_none=True)


def _problems(row: WrongRow) -> list[FieldProblem]:
    """Return the problems of a row by their paths in the body."""
    path = f"rows.{row.row - 1}"
    return [
        # A row that is wrong as a whole, for example without any content, has only its own path.
        problem.model_copy(
            update={"field": path if problem.field == "request" else f"{path}.{problem.field}"}
        )
        for problem in row.problems
    ]
