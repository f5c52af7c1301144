"""Files of recipients as programs write them, and those that cannot be read."""

import os
from pathlib import Path

import pytest

from send_whatsapp.client.recipients.cells import FileError
from send_whatsapp.client.recipients.files import read
from send_whatsapp.client.recipients.reading import ReadOptions
from tests.client.recipients.conftest import checked


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", b"to,name\n+1234567890,Zo\xc3\xab\n"),
        ("a.csv", b"\xef\xbb\xbfto;name\r\n+1234567890;Zo\xc3\xab\r\n"),
        ("a.csv", b"to,name\r+1234567890,Zo\xc3\xab\r"),
        ("a.csv", "to\tname\n+1234567890\tZoë\n".encode("utf-16")),
        ("a.csv", b"\xfe\xff" + "to\tname\n+1234567890\tZoë\n".encode("utf-16-be")),
        ("a.csv", b"\n\nto;name\n+1234567890;Zo\xc3\xab\n"),
        ("a.csv", b'\nto,name\n\n+1234567890,"Zo\xc3\xab"\n'),
        ("a.jsonl", '{"to": "+1234567890", "name": "Zoë"}\n'.encode()),
        ("a.jsonl", '\ufeff{"to": "+1234567890", "name": "Zoë"}\r\n'.encode()),
        ("a.txt", '\n {"to": "+1234567890", "variables": {"name": "Zoë"}}\n'.encode()),
    ],
)
def test_a_file_is_read_in_every_common_format(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    rows, wrong = checked(tmp_path / name, template="t")
    assert not wrong
    assert [(row.key, row.request.variables) for row in rows] == [
        ("k/+1234567890", {"name": "Zoë"})
    ]


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.csv", b"", "no rows"),
        ("a.csv", b"to,name\n", "no rows"),
        ("a.csv", b"\xef\xbb\xbf\n \n\n", "no rows"),
        ("a.csv", b"phone\n+1234567890\n", "no column `to`"),
        ("a.csv", b"to,to\n1,2\n", "same name"),
        ("a.csv", b'to\n"unclosed\n', "Line 2"),
        ("a.xlsx", b"not an archive", r"\.xlsx"),
        ("a.xlsx", b"PK\x03\x04 not an archive", "BadZipFile"),
        ("a.jsonl", b"nonsense\n[]\n", "JSON object"),
        ("a.json", b'[\n  {"to": "+1234567890"}\n]\n', "JSON array"),
        ("a.csv", b"to\n1\0\n", "Line 2"),
    ],
)
def test_the_error_of_an_unreadable_file_is_one_line(
    tmp_path: Path, name: str, data: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(FileError, match=reason) as wrong:
        read(tmp_path / name, ReadOptions())
    assert "\n" not in str(wrong.value)
    assert str(wrong.value).startswith(name)


def test_a_missing_file_and_a_folder_are_file_errors(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        read(tmp_path / "missing.csv", ReadOptions())
    with pytest.raises(FileError, match="directory"):
        read(tmp_path, ReadOptions())


def test_names_that_cannot_be_printed_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff\x1b.csv")
    path.write_text("\x1b[31m\n1\n")
    with pytest.raises(FileError) as wrong:
        read(path, ReadOptions(column_map={"to": "\udcff"}))
    assert str(wrong.value).isprintable()
