"""JSON Lines: values keep their types, and a line that is not a row is named by its number."""

import json
from pathlib import Path
from typing import Any

import pytest

from send_whatsapp.client.recipients.cells import FileError
from send_whatsapp.client.recipients.files import read
from send_whatsapp.client.recipients.reading import ReadOptions
from tests.client.recipients.conftest import checked

TO = "+14155552671"


def write(path: Path, *lines: str | dict[str, Any]) -> Path:
    path.write_text(
        "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    )
    return path


@pytest.mark.parametrize(
    ("written", "to"),
    [
        ("14155552671", TO),
        ("14155552671.0", TO),
        ("1.4155552671e10", TO),
        ('"+1 415 555 2671"', TO),
    ],
)
def test_whole_numbers_are_phone_numbers(tmp_path: Path, written: str, to: str) -> None:
    path = write(tmp_path / "a.jsonl", f'{{"to": {written}}}')
    rows, wrong = checked(path)
    assert not wrong
    assert [row.request.to for row in rows] == [to]


@pytest.mark.parametrize(
    "written", ["4155552671.5", "-14155552671", "1e999", "true", "null", "[]", "{}", "1e30", '""']
)
def test_other_values_of_to_are_refused_by_line(tmp_path: Path, written: str) -> None:
    path = write(tmp_path / "a.jsonl", {"to": TO}, f'{{"to": {written}, "key": "k"}}')
    rows, wrong = checked(path)
    assert [row.row for row in rows] == [1]
    assert [(row.row, row.type) for row in wrong] == [(2, "InvalidPhoneNumber")]


def test_variables_are_columns_or_an_object(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        {"to": TO, "a": 1, "variables": {"b": 2.5, "c": True, "message": "m", "sendAt": "noon"}},
        {"To": "+14155552672", "Variables": {"b": "x"}},
        {"to": "+14155552673", "variables": None, "a": "y"},
    )
    rows, wrong = checked(path, template="t")
    assert not wrong
    assert [row.request.variables for row in rows] == [
        {"a": 1, "b": 2.5, "c": True, "message": "m", "sendAt": "noon"},
        {"b": "x"},
        {"a": "y"},
    ]


def test_a_field_of_a_row_is_that_field(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        {"to": TO, "key": 4711, "Template": "own", "fallback_message": "f", "x": "y"},
    )
    rows, _ = checked(path, message="all")
    assert (rows[0].key, rows[0].request.template) == ("4711", "own")
    assert rows[0].request.variables == {"x": "y", "fallback_message": "f"}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("[]", "JSON object"),
        ("5", "JSON object"),
        ('"x"', "JSON object"),
        ("null", "JSON object"),
        ("{", "not valid JSON"),
        ("{'to': 1}", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        (f'{{"to": {"9" * 5_000}}}', "not valid JSON"),
        (f'{{"to": "{TO}", "x": NaN}}', "NaN"),
        (f'{{"to": "{TO}", "x": [-Infinity]}}', "-Infinity"),
        (f'{{"to": "{TO}", "to": "{TO}"}}', "the same name twice"),
        (f'{{"to": "{TO}", "to ": "{TO}"}}', "the same name twice"),
        (f'{{"to": "{TO}", "TO": "{TO}"}}', "the same field"),
        (f'{{"to": "{TO}", "variables": {{"a": 1, "a": 2}}}}', "the same name twice"),
        (f'{{"to": "{TO}", "a": 1, "variables": {{"a": 2}}}}', "`a` twice"),
        (f'{{"to": "{TO}", "variables": [1]}}', "variables must be an object"),
        (f'{{"to": "{TO}", "variables": "x"}}', "variables must be an object"),
        (f'{{"to": "{TO}", "\\ud800": 1}}', "not valid Unicode"),
    ],
)
def test_a_line_that_is_not_a_row_is_wrong(tmp_path: Path, line: str, why: str) -> None:
    path = write(tmp_path / "a.jsonl", {"to": TO}, "", line)
    rows, wrong = checked(path, template="t")
    assert [row.row for row in rows] == [1]
    assert [(row.row, row.type) for row in wrong] == [(3, "InvalidRequest")]
    assert why in wrong[0].why


@pytest.mark.parametrize("key", [True, [], {}, 1.5, -1])
def test_a_key_is_text_or_a_whole_number(tmp_path: Path, key: object) -> None:
    path = write(tmp_path / "a.jsonl", {"to": TO, "key": key})
    assert "key is" in checked(path)[1][0].why


def test_json_lines_have_no_header(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"to": TO})
    with pytest.raises(FileError, match="--header-row"):
        read(path, ReadOptions(header_row=1))
