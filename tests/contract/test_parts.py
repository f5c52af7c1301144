"""Parts of a batch: no payload comes near the server's limit, and inputs are checked."""

import json
from typing import Any

import pytest
from pydantic import ValidationError
from temporalio.exceptions import ApplicationError

from send_whatsapp.contract.batch import BatchRequest, Counts, Row, RowOutcome
from send_whatsapp.contract.parts import (
    MAX_KNOWN,
    MAX_PART_BYTES,
    MAX_PART_ROWS,
    BatchInput,
    PartRequest,
    split,
)
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.contract.validation import problems


def rows(count: int, message: str = "x") -> list[Row]:
    return [
        Row(
            row=number,
            key=f"k{number}",
            request=SendWhatsAppRequest(to=f"+4915{number:09d}", message=message),
        )
        for number in range(2, count + 2)
    ]


def outcomes(count: int) -> list[RowOutcome]:
    return [RowOutcome(row=n, key=f"k{n}", to="+1", outcome="accepted") for n in range(count)]


@pytest.mark.parametrize(
    ("message", "parts"), [("x", 2), ("x" * 4096, 4), ("\N{GRINNING FACE}" * 4096, 13)]
)
def test_a_part_is_bounded_in_rows_and_in_bytes(message: str, parts: int) -> None:
    given = rows(300, message)
    found = split(given)
    assert len(found) == parts
    assert [row for part in found for row in part.unpacked()] == given
    for part in found:
        assert len(part.unpacked()) <= MAX_PART_ROWS
        # The limit does not count a comma and a space for each row.
        assert len(part.model_dump_json(by_alias=True).encode()) <= MAX_PART_BYTES * 1.01


def test_known_outcomes_are_bounded_in_bytes() -> None:
    known = [outcome.model_copy(update={"error": "x" * 5_000}) for outcome in outcomes(500)]
    found = split([], known)
    assert [outcome for part in found for outcome in part.known] == known
    for part in found:
        assert len(part.model_dump_json(by_alias=True).encode()) <= MAX_PART_BYTES * 1.01


def test_known_outcomes_follow_in_parts_without_rows() -> None:
    found = split(rows(1), outcomes(MAX_KNOWN + 1))
    assert [part.counts for part in found] == [
        Counts(running=1),
        Counts(accepted=MAX_KNOWN),
        Counts(accepted=1),
    ]


def test_the_rows_of_a_part_are_a_list_in_json_and_text_in_memory() -> None:
    part = PartRequest.of(rows(2))
    assert isinstance(part.rows_json, str)
    body = part.model_dump_json(by_alias=True)
    assert [row["key"] for row in json.loads(body)["rows"]] == ["k2", "k3"]
    assert PartRequest.model_validate_json(body).unpacked() == rows(2)


def test_a_part_with_a_malformed_row_is_an_invalid_request() -> None:
    with pytest.raises(ApplicationError) as raised:
        PartRequest(rows_json='[{"row": 1}]').unpacked()
    assert raised.value.type == "InvalidRequest"


def test_the_input_of_a_batch_accepts_the_public_request() -> None:
    request = BatchRequest(key="k", rows=rows(300), per_minute=600)
    input_ = BatchInput.model_validate_json(request.model_dump_json(by_alias=True))
    assert (input_.rows, input_.per_minute, input_.generation) == (request.rows, 600, 1)
    assert input_.planned_parts == [Counts(running=250), Counts(running=50)]
    assert input_.planned_rows == 300


def test_the_input_of_a_batch_with_parts_has_their_rows() -> None:
    input_ = BatchInput(key="k", parts=[Counts(running=7), Counts(accepted=2, failed=1)])
    assert (len(input_.planned_parts), input_.planned_rows) == (2, 10)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "rows is missing"),
        ({"rows": rows(1), "parts": [Counts(running=1)]}, "rows cannot be combined with parts"),
        ({"rows": [rows(1)[0], rows(1)[0]]}, "rows has the same row twice"),
        (
            {"rows": [rows(1)[0], rows(1)[0].model_copy(update={"row": 9})]},
            "rows has the same key twice",
        ),
    ],
)
def test_a_batch_has_rows_or_parts_and_each_row_once(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError) as raised:
        BatchInput(key="k", **fields)
    assert str(problems(raised.value)[0]).startswith(problem)


@pytest.mark.parametrize("fields", [{}, {"rows": []}, {"rows": rows(1), "generation": 2}])
def test_the_public_request_needs_rows_and_knows_no_internals(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        BatchRequest.model_validate({"key": "k", **fields})


def test_rows_of_one_person_that_take_turns_are_in_one_part_in_file_order() -> None:
    def row(number: int, person: int, **fields: Any) -> Row:
        request = SendWhatsAppRequest(to=f"+1415555{person:04}", message="m", **fields)
        return Row(row=number, key=f"k{number}", request=request)

    rows = [row(n, n % 300, in_order=n % 300 < 5) for n in range(1, 701)]
    parts = [part.unpacked() for part in split(rows)]
    assert sorted(each.row for part in parts for each in part) == list(range(1, 701))
    assert all(len(part) <= MAX_PART_ROWS for part in parts)
    assert all([each.row for each in part] == sorted(each.row for each in part) for part in parts)
    for person in range(5):
        holding = [part for part in parts if any(each.row % 300 == person for each in part)]
        assert len(holding) == 1


def test_a_person_with_more_rows_than_a_part_holds_continues_in_the_next_part() -> None:
    request = SendWhatsAppRequest(to="+14155550100", message="m", in_order=True)
    rows = [Row(row=n, key=f"k{n}", request=request) for n in range(1, 601)]
    parts = [[each.row for each in part.unpacked()] for part in split(rows)]
    assert [len(part) for part in parts] == [250, 250, 100]
    assert [row for part in parts for row in part] == list(range(1, 601))
