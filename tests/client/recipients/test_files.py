"""Files of recipients as programs write them, and the lines that cannot be read."""

from datetime import datetime
from pathlib import Path

import openpyxl
import pytest

from send_whatsapp.client.recipients.cells import FileError
from send_whatsapp.client.recipients.files import read
from tests.client.recipients.conftest import checked


def write_workbook(path: Path, *lines: list[object]) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for line in lines:
        sheet.append(line)
    book.save(path)


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
def test_a_file_is_read_in_every_common_format(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    rows, wrong = checked(tmp_path / name, template="t")
    assert not wrong
    assert [(row.key, row.request.variables) for row in rows] == [
        ("k/+1234567890", {"name": "Zoë"})
    ]


def test_numbers_in_excel_are_phone_numbers(tmp_path: Path) -> None:
    write_workbook(
        tmp_path / "a.xlsx",
        ["to", "key", "message"],
        [],
        [1234567890.0, "one", "Hi"],
        [1, 2, 3, 4],
    )
    rows, wrong = checked(tmp_path / "a.xlsx")
    assert [(row.row, row.key, row.request.to) for row in rows] == [(3, "one", "1234567890")]
    assert [(row.row, row.why) for row in wrong] == [(4, "has too many cells")]


def test_excel_booleans_dates_and_times_become_text(tmp_path: Path) -> None:
    write_workbook(
        tmp_path / "a.xlsx",
        ["to", "paid", "day", "at", None],
        ["+1234567890", True, datetime(2027, 1, 31), datetime(2027, 1, 31, 9, 30)],
    )
    rows, wrong = checked(tmp_path / "a.xlsx", template="t")
    assert not wrong
    assert rows[0].request.variables == {
        "paid": "true",
        "day": "2027-01-31",
        "at": "2027-01-31 09:30:00",
    }


def test_an_excel_file_with_two_columns_of_the_same_name_is_refused(tmp_path: Path) -> None:
    write_workbook(tmp_path / "a.xlsx", ["to", "name", "name"], ["+1234567890", "a", "b"])
    with pytest.raises(FileError, match="two columns with the same name"):
        read(tmp_path / "a.xlsx", {})


@pytest.mark.parametrize(
    "data", ["to,message\n+1234567890,one,two\n", "to,message,\n+1234567890,one,two\n"]
)
def test_a_row_with_too_many_cells_is_wrong(tmp_path: Path, data: str) -> None:
    (tmp_path / "a.csv").write_text(data)
    rows, wrong = checked(tmp_path / "a.csv")
    assert not rows
    assert [(row.row, row.why) for row in wrong] == [(2, "has too many cells")]


def test_line_numbers_are_those_of_an_editor(tmp_path: Path) -> None:
    data = 'to,message\n\n+1234567890,"two\nlines"\nabc,x\n+1234567891,\n+1234567892,x,y\n'
    (tmp_path / "a.csv").write_text(data)
    rows, wrong = checked(tmp_path / "a.csv", common={})
    assert [(row.row, row.request.message) for row in rows] == [(3, "two\nlines")]
    assert [(row.row, row.type) for row in wrong] == [
        (5, "InvalidPhoneNumber"),
        (6, "InvalidRequest"),
        (7, "InvalidRequest"),
    ]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", b""),
        ("a.csv", b"to,name\n"),
        ("a.csv", b"phone\n+1234567890\n"),
        ("a.csv", b"to,to\n1,2\n"),
        ("a.csv", b'to\n"unclosed\n'),
        ("a.xlsx", b"not an archive"),
        ("a.jsonl", b"nonsense\n[]\n"),
    ],
)
def test_the_error_of_an_unreadable_file_is_one_sentence(
    tmp_path: Path, name: str, data: bytes
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(FileError) as wrong:
        read(tmp_path / name, {})
    assert "\n" not in str(wrong.value)


def test_a_missing_file_is_a_file_error(tmp_path: Path) -> None:
    with pytest.raises(FileError):
        read(tmp_path / "missing.csv", {})


def test_columns_can_have_other_names(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Phone\n+1234567890\n")
    assert read(tmp_path / "a.csv", {"Phone": "to"}) == [(2, {"to": "+1234567890"})]
    with pytest.raises(FileError, match="no column `Telephone`"):
        read(tmp_path / "a.csv", {"Telephone": "to"})
