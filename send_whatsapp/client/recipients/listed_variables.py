"""Rows whose template is in the catalogue must have exactly its variables."""

from collections.abc import Iterable

from send_whatsapp.client.recipients.cells import WrongRow, wrong_row
from send_whatsapp.contract.batch import Row
from send_whatsapp.contract.catalogue import Catalogue, variable_problems
from send_whatsapp.contract.errors import ErrorType


def with_listed_variables(
    rows: Iterable[Row], wrong: Iterable[WrongRow], catalogue: Catalogue
) -> tuple[list[Row], list[WrongRow]]:
    """Return the rows that can be sent and all that cannot, in the order of the file."""
    good: list[Row] = []
    all_wrong = list(wrong)
    for row in rows:
        request = row.request
        required = catalogue.required(request.template) if request.template else None
        if found := variable_problems(required, request.template_variables):
            all_wrong.append(wrong_row(row.row, request.to, ErrorType.INVALID_REQUEST, found))
        else:
            good.append(row)
    return good, sorted(all_wrong, key=lambda one: one.row)
