"""The rows of a batch body: each checked as a whole request, one row for each person."""

from pydantic import ValidationError

from send_whatsapp.client.recipients.rows import Duplicates, derived_key, each_person_once
from send_whatsapp.contract.batch import Row
from send_whatsapp.contract.batch_body import BatchBody, BatchRecipient
from send_whatsapp.contract.errors import FieldProblem
from send_whatsapp.contract.phone import InvalidPhoneNumber, to_e164
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.contract.validation import problems
from send_whatsapp.gateway.problems import invalid_fields

MAX_PROBLEMS = 100


def rows_of(body: BatchBody, region: str) -> list[Row]:
    """Return the rows of a body, numbered from 1.

    `region` (ISO 3166) is the one whose rules a number without `+` is read by. Raises Problem (422)
    that names what is wrong by its path.
    """
    rows: list[Row] = []
    found: list[FieldProblem] = []
    for number, recipient in enumerate(body.rows):
        try:
            rows.append(_row(body, recipient, number + 1, region))
        except InvalidPhoneNumber as error:
            problem = FieldProblem(field="to", problem=str(error), expected="a phone number")
            found.append(_of_row(number, problem))
        except ValidationError as error:
            found += [_of_row(number, problem) for problem in problems(error)]
    rows, clashes = each_person_once(rows, body.key, region, Duplicates.REFUSE)
    found += [
        FieldProblem(
            field=f"rows.{later - 1}.to",
            problem=f"is for the same person or key as rows.{first - 1}",
            expected="one row for each person, or a different key in each row",
        )
        for first, later in clashes
    ]
    if found:
        title = "Nothing was sent, because some rows are invalid"
        raise invalid_fields(title, found, limit=MAX_PROBLEMS)
    return rows


def _row(body: BatchBody, recipient: BatchRecipient, number: int, region: str) -> Row:
    person = to_e164(recipient.to, region)
    request = SendWhatsAppRequest.model_validate(body.request_fields(recipient))
    return Row(row=number, key=recipient.key or derived_key(body.key, person), request=request)


def _of_row(number: int, problem: FieldProblem) -> FieldProblem:
    # A row that is wrong as a whole, for example without any content, has the path of the row.
    field = f"rows.{number}" + ("" if problem.field == "request" else f".{problem.field}")
    return problem.model_copy(update={"field": field})
