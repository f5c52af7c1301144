"""Files of recipients as people have them, and what is wrong with them by line."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from send_whatsapp.client.recipients.cells import FileError, WrongRow
from send_whatsapp.client.recipients.files import read
from send_whatsapp.client.recipients.rows import rows_of


def rows(path: Path, **common: Any) -> tuple[list[Any], list[WrongRow]]:
    return rows_of(read(path, {}), common or {"message": "x"}, "k", "US")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", b"to,name\n+1234567890,Zo\xc3\xab\n"),
        ("a.csv", b"\xef\xbb\xbfto;name\r\n+1234567890;Zo\xc3\xab\r\n"),
        ("a.csv", "to\tname\n+1234567890\tZoë\n".encode("utf-16")),
        ("a.csv", "to,name\n+1234567890,Zoë\n".encode("cp1252")),
        ("a.csv", "to;name\r\n+1234567890;Zoë\r\n".encode("utf-16-le")),
        ("a.csv", b"\n\nto;name\n+1234567890;Zo\xc3\xab\n"),
        ("a.csv", b'\nto,name\n\n+1234567890,"Zo\xc3\xab"\n'),
        ("a.jsonl", '{"to": "+1234567890", "name": "Zoë"}\n'.encode()),
        ("a.txt", '{"to": "+1234567890", "variables": {"name": "Zoë"}}\n'.encode()),
    ],
)
def test_a_file_is_read(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    good, bad = rows(tmp_path / name, template="t")
    assert not bad
    assert [(r.key, r.request.variables) for r in good] == [("k/+1234567890", {"name": "Zoë"})]


def test_excel_numbers_are_numbers_of_a_phone(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for line in (["to", "key", "message"], [], [1234567890.0, "one", "Hi"], [1, 2, 3, 4]):
        sheet.append(line)
    book.save(tmp_path / "a.xlsx")
    good, bad = rows(tmp_path / "a.xlsx")
    assert [(r.row, r.key, r.request.to) for r in good] == [(3, "one", "1234567890")]
    assert [(w.row, w.why) for w in bad] == [(4, "has too many cells")]


def test_excel_cells_become_the_words_of_the_contract(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["to", "paid", "day", "at", None])
    sheet.append(["+1234567890", True, datetime(2027, 1, 31), datetime(2027, 1, 31, 9, 30)])
    book.save(tmp_path / "a.xlsx")
    good, bad = rows(tmp_path / "a.xlsx", template="t")
    assert not bad
    assert good[0].request.variables == {
        "paid": "true",
        "day": "2027-01-31",
        "at": "2027-01-31 09:30:00",
    }


def test_a_column_that_excel_names_twice_is_refused(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for line in (["to", "name", "name"], ["+1234567890", "a", "b"]):
        sheet.append(line)
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(FileError, match="twice"):
        read(tmp_path / "a.xlsx", {})


@pytest.mark.parametrize(
    "data", ["to,message\n+1234567890,one,two\n", "to,message,\n+1234567890,one,two\n"]
)
def test_a_file_of_nothing_but_rows_that_are_too_long_tells_their_lines(
    tmp_path: Path, data: str
) -> None:
    (tmp_path / "a.csv").write_text(data)
    good, bad = rows(tmp_path / "a.csv")
    assert not good
    assert [(w.row, w.why) for w in bad] == [(2, "has too many cells")]


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
def test_a_row_that_no_request_can_be_is_told_by_its_field(
    tmp_path: Path, cells: dict[str, Any], field: str
) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"to": "+1234567890"} | cells) + "\n")
    good, bad = rows_of(read(tmp_path / "a.jsonl", {}), {}, "k", "US")
    assert not good
    assert [w.row for w in bad] == [1]
    assert field in bad[0].why
    assert bad[0].outcome().model_dump_json()


def test_line_numbers_are_those_of_an_editor(tmp_path: Path) -> None:
    data = 'to,message\n\n+1234567890,"two\nlines"\nabc,x\n+1234567891,\n+1234567892,x,y\n'
    (tmp_path / "a.csv").write_text(data)
    good, bad = rows_of(read(tmp_path / "a.csv", {}), {}, "k", "US")
    assert [(r.row, r.request.message) for r in good] == [(3, "two\nlines")]
    assert [(w.row, w.type) for w in bad] == [
        (5, "InvalidPhoneNumber") if w.row == 5 else (w.row, "InvalidRequest") for w in bad
    ]
    assert [w.row for w in bad] == [5, 6, 7]


def test_a_rows_own_cell_wins(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "to,template,name,fallback_message\n+1234567890,own,Jo,f\n+1234567891,,,\n"
    )
    good, bad = rows(tmp_path / "a.csv", template="all", variables={"name": "N", "x": "y"})
    assert not bad
    assert [r.request.template for r in good] == ["own", "all"]
    assert good[0].request.variables == {"name": "Jo", "x": "y", "fallback_message": "f"}
    assert good[1].request.variables == {"name": "N", "x": "y"}


def test_a_fallback_without_a_template_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("to,fallback_message\n+1234567890,f\n")
    assert rows(tmp_path / "a.csv")[1][0].type == "InvalidRequest"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", b""),
        ("a.csv", b"to,name\n"),
        ("a.csv", b"phone\n+1234567890\n"),
        ("a.csv", b"to,to\n1,2\n"),
        ("a.csv", b'to\n"unclosed\n'),
        ("a.xlsx", b"no archive"),
        ("a.jsonl", b"nonsense\n[]\n"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(FileError) as wrong:
        read(tmp_path / name, {})
    assert "\n" not in str(wrong.value)
    with pytest.raises(FileError):
        read(tmp_path / "missing.csv", {})


def test_columns_can_have_other_names(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Phone\n+1234567890\n")
    assert read(tmp_path / "a.csv", {"Phone": "to"}) == [(2, {"to": "+1234567890"})]
    with pytest.raises(FileError, match="no column `Telephone`"):
        read(tmp_path / "a.csv", {"Telephone": "to"})


def test_a_rows_own_content_leaves_that_of_the_flags(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "to,message,fileUrl,fileType\n+1234567890,,https://example.com/a.pdf,document\n"
        "+1234567891,own,,\n+1234567892,,,\n"
    )
    good, bad = rows(tmp_path / "a.csv", message="all")
    assert not bad
    assert [r.request.message for r in good] == [None, "own", "all"]
    good, bad = rows(tmp_path / "a.csv", fileUrl="https://example.com/b.png", fileType="image")
    assert not bad
    assert [r.request.file_type for r in good] == ["document", None, "image"]


def test_other_columns_are_variables_of_a_template_and_else_nobodys(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("to,delivery,sendAt\n+1234567890,Monday,noon\n")
    assert rows(tmp_path / "a.csv", message="x")[0][0].request.variables is None
    good, _ = rows(tmp_path / "a.csv", template="t")
    assert good[0].request.variables == {"delivery": "Monday", "sendAt": "noon"}
    assert rows(tmp_path / "a.csv", message="x", variables={"name": "N"})[1]
