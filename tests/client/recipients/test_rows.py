"""How a row becomes a request: its own cells, what all rows share, and what is wrong with it."""

import json
from pathlib import Path
from typing import Any

import pytest

from send_whatsapp.client.recipients.row_fields import EmptyCells
from send_whatsapp.contract.parts import split
from tests.client.recipients.conftest import checked
from tests.client.recipients.workbooks import row, write_sheet


@pytest.mark.parametrize(
    ("cells", "field"),
    [
        ({"message": "\ud800"}, "message"),
        ({"to": "+1234567890\udcff"}, "to"),
        ({"message": "x", "key": "\ud800"}, "key"),
        ({"message": "x", "key": "k" * 501}, "key"),
        ({"template": "t", "a": "\ud800"}, "variables.a"),
        ({"template": "t", "a": 10**400}, "variables.a"),
    ],
)
def test_a_wrong_cell_is_named_by_its_field(
    tmp_path: Path, cells: dict[str, Any], field: str
) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"to": "+1234567890"} | cells) + "\n")
    rows, wrong = checked(tmp_path / "a.jsonl", common={})
    assert not rows
    assert [row.row for row in wrong] == [1]
    assert field in wrong[0].why
    assert wrong[0].outcome().model_dump_json()


def test_a_rows_own_cell_wins(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "to,template,name,fallback_message\n+1234567890,own,Jo,f\n+1234567891,,,\n"
    )
    rows, wrong = checked(tmp_path / "a.csv", template="all", variables={"name": "N", "x": "y"})
    assert not wrong
    assert [row.request.template for row in rows] == ["own", "all"]
    assert rows[0].request.variables == {"name": "Jo", "x": "y", "fallback_message": "f"}
    assert rows[1].request.variables == {"name": "N", "x": "y"}


def test_a_fallback_without_a_template_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("to,fallback_message\n+1234567890,f\n")
    assert checked(tmp_path / "a.csv")[1][0].type == "InvalidRequest"


def test_a_rows_own_content_replaces_the_common_content(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "to,message,fileUrl,fileType\n+1234567890,,https://example.com/a.pdf,document\n"
        "+1234567891,own,,\n+1234567892,,,\n"
    )
    rows, wrong = checked(tmp_path / "a.csv", message="all")
    assert not wrong
    assert [row.request.message for row in rows] == [None, "own", "all"]
    rows, wrong = checked(tmp_path / "a.csv", fileUrl="https://example.com/b.png", fileType="image")
    assert not wrong
    assert [row.request.file_type for row in rows] == ["document", None, "image"]


def test_other_columns_are_variables_only_if_the_row_sends_a_template(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("to,day,hour\n+1234567890,Monday,noon\n")
    assert checked(tmp_path / "a.csv", message="x")[0][0].request.variables is None
    rows, _ = checked(tmp_path / "a.csv", template="t")
    assert rows[0].request.variables == {"day": "Monday", "hour": "noon"}
    assert checked(tmp_path / "a.csv", message="x", variables={"name": "N"})[1]


def test_an_object_of_variables_without_a_template_is_wrong_as_in_a_single_send(
    tmp_path: Path,
) -> None:
    cells = {"to": "+1234567890", "variables": {"name": "Ana"}}
    (tmp_path / "a.jsonl").write_text(json.dumps(cells))
    assert "variables needs a template" in checked(tmp_path / "a.jsonl", message="x")[1][0].why


@pytest.mark.parametrize(
    "cells", [["+1234567890", ""], ["+1234567890", " \u00a0"], ["+1234567890"]]
)
@pytest.mark.parametrize("kind", ["csv", "xlsx", "jsonl"])
def test_an_empty_variable_is_wrong_in_a_row_that_sends_a_template(
    tmp_path: Path, cells: list[str], kind: str
) -> None:
    path = tmp_path / f"a.{kind}"
    if kind == "csv":
        path.write_text(f"to,document\n{','.join(cells)}\n")
    elif kind == "xlsx":
        write_sheet(path, row("to", "document"), row(*cells))
    else:
        path.write_text(json.dumps({"to": cells[0], "document": cells[1] if cells[1:] else None}))
    rows, wrong = checked(path, template="t")
    assert not rows
    assert "variables.document is empty" in wrong[0].why
    skipped, _ = checked(path, template="t", empty_cells=EmptyCells.SKIP)
    assert [line.request.variables for line in skipped] == [None]
    given, _ = checked(path, template="t", variables={"document": "visa"})
    assert [line.request.variables for line in given] == [{"document": "visa"}]
    assert checked(path, message="x")[0]


def test_empty_cells_of_fields_are_absent(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "to,key,message,template,fileUrl,fileType,fallback_message\n+1234567890, ,,,,,\n"
    )
    rows, wrong = checked(tmp_path / "a.csv", template="t")
    assert not wrong
    assert rows[0].key == "k/+1234567890"
    assert rows[0].request.variables is None


@pytest.mark.parametrize("written", ["{name}", "{{name}}", "{ Name }", "${name}", "{{ NAME }}"])
@pytest.mark.parametrize(
    ("common", "column", "field"),
    [
        ("message", None, "message"),
        (None, "message", "message"),
        ("fallback", None, "variables.fallback_message"),
        (None, "fallback_message", "variables.fallback_message"),
    ],
)
def test_a_placeholder_for_a_column_is_refused_since_nobody_fills_it(
    tmp_path: Path, written: str, common: str | None, column: str | None, field: str
) -> None:
    text = f"Dear {written}!"
    cells = {"to": "+1234567890", "name": "Ana"} | ({column: text} if column else {})
    (tmp_path / "a.jsonl").write_text(json.dumps(cells))
    fields: dict[str, Any] = {"message": text} if common == "message" else {}
    if "fallback" in field:
        fields["template"] = "t"
    if common == "fallback":
        fields["variables"] = {"fallback_message": text}
    rows, wrong = checked(tmp_path / "a.jsonl", common=fields)
    assert not rows
    assert wrong[0].why.startswith(f"{field} contains {{name}}")


@pytest.mark.parametrize("text", ["{other}", "{}", "name", "{na me{", "{name", "a}name{"])
def test_other_braces_are_text(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text("to,name\n+1234567890,Ana\n")
    assert checked(tmp_path / "a.csv", message=text)[0][0].request.message == text


@pytest.mark.parametrize(
    "cells",
    [
        {"template": "t", "a": "x" * 2_300_000},
        {"template": "t"} | {f"name{i}": "x" * 1_000 for i in range(100)},
        {"template": "t", "a": "\U0001f600" * 25_000},
    ],
)
def test_a_row_above_the_limit_is_refused_by_line(tmp_path: Path, cells: dict[str, str]) -> None:
    lines = [{"to": "+1234567890"} | cells, {"to": "+1234567891", "message": "x"}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    rows, wrong = checked(tmp_path / "a.jsonl", common={})
    assert [line.row for line in rows] == [2]
    assert [line.row for line in wrong] == [1]
    assert "at most 100,000 bytes" in wrong[0].why


def test_the_largest_texts_of_the_contract_fit_in_a_row(tmp_path: Path) -> None:
    text = "\U0001f600" * 4_096
    cells = {"to": "+1234567890", "template": "t", "message": text, "fallback_message": text}
    cells |= {f"name{i}": "x" * 1_000 for i in range(10)}
    (tmp_path / "a.jsonl").write_text(json.dumps(cells))
    rows, wrong = checked(tmp_path / "a.jsonl", common={})
    assert not wrong
    assert len(split(rows)) == 1


@pytest.mark.parametrize("to", ["call me", "+1", "", "x" * 2_000_000, "+14155550103\u00a0x"])
@pytest.mark.parametrize("key", ["order-1", None])
def test_a_wrong_number_is_a_wrong_row_with_and_without_a_key(
    tmp_path: Path, to: str, key: str | None
) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"to": to, "key": key}))
    rows, wrong = checked(tmp_path / "a.jsonl")
    assert not rows
    assert wrong[0].type == "InvalidPhoneNumber"
    assert wrong[0].why.startswith("to: ")
    assert len(wrong[0].outcome().model_dump_json()) < 2_000


def test_the_number_that_was_checked_is_the_one_that_is_sent(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("to,key\n(415) 555-2671,a\n")
    rows, _ = checked(tmp_path / "a.csv")
    assert rows[0].request.to == "+14155552671"


def test_everything_wrong_with_a_row_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"to": "x", "fileType": "gif", "message": "m"}))
    wrong = checked(tmp_path / "a.jsonl", common={})[1][0]
    assert [problem.field for problem in wrong.problems] == ["to", "fileType"]


def test_the_reasons_of_many_wrong_cells_stay_short(tmp_path: Path) -> None:
    cells: dict[str, Any] = {f"\u05e9{i}": [] for i in range(10_000)}
    (tmp_path / "a.jsonl").write_text(json.dumps({"to": "+1234567890"} | cells))
    wrong = checked(tmp_path / "a.jsonl", template="t")[1][0]
    assert len(wrong.why) < 600
    assert "9,995 more" in wrong.why or "9995 more" in wrong.why
