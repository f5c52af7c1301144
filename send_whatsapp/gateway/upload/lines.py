"""The lines of an upload: NDJSON or CSV, one row at a time, each with its line number."""

import io
from collections.abc import Iterator

from pydantic import ValidationError

from send_whatsapp.client.recipients.cells import (
    NumberedRow,
    WrongRow,
    wrong_row,
)
from send_whatsapp.client.recipients.csv_file import stream_csv
from send_whatsapp.client.recipients.reading import ReadOptions
from send_whatsapp.contract.batch_body import BatchRecipient
from send_whatsapp.contract.errors import ErrorType, FieldProblem
from send_whatsapp.contract.validation import problems
from send_whatsapp.gateway.batch_rows import cells_of
from send_whatsapp.gateway.problems import Problem
from send_whatsapp.gateway.strict_json import InvalidJSON, parse_json

MAX_LINE_BYTES = 1024 * 1024
_UTF8_BOM = b"\xef\xbb\xbf"


def ndjson_rows(body: io.BufferedReader) -> Iterator[NumberedRow]:
    """Yield the rows of a JSON body, one on each line. Raises Problem."""
    for number, line in _lines(body):
        if line.strip():
            yield number, _row(number, line)


def csv_rows(body: io.BufferedReader) -> Iterator[NumberedRow]:
    """Yield the rows of a CSV file, as `batch send` reads them. Raises Problem and FileError."""
    text = (_decoded(number, line) for number, line in _lines(body))
    _, rows = stream_csv(text, ReadOptions())
    yield from rows


def _lines(body: io.BufferedReader) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := body.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise Problem(422, f"Line {number} has more than {MAX_LINE_BYTES:,} bytes")
        yield number, line.removeprefix(_UTF8_BOM) if number == 1 else line


def _decoded(number: int, line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise Problem(
            422, f"Line {number} is not UTF-8: save the file as CSV UTF-8, or convert it"
        ) from None


def _row(number: int, line: bytes) -> dict[str, object] | WrongRow:
    try:
        value = parse_json(line)
        return cells_of(BatchRecipient.model_validate(value, by_alias=True, by_name=False))
    except InvalidJSON:
        problem = FieldProblem(
            field="request",
            problem="is not valid JSON",
            expected="one JSON object on each line, in UTF-8, without repeated keys or NaN",
        )
        return wrong_row(number, "", ErrorType.INVALID_REQUEST, [problem])
    except ValidationError as error:
        return wrong_row(number, "", ErrorType.INVALID_REQUEST, problems(error))
