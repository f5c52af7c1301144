"""How a row becomes a request: its own cells, what all rows share, and what is wrong with it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.client.recipients.conftest import checked


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
    (tmp_path / "a.csv").write_text("to,delivery,sendAt\n+1234567890,Monday,noon\n")
    assert checked(tmp_path / "a.csv", message="x")[0][0].request.variables is None
    rows, _ = checked(tmp_path / "a.csv", template="t")
    assert rows[0].request.variables == {"delivery": "Monday", "sendAt": "noon"}
    assert checked(tmp_path / "a.csv", message="x", variables={"name": "N"})[1]
