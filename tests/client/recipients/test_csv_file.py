"""CSV: separators, quotes, line breaks, and the lines of what cannot be read."""

from pathlib import Path

import pytest

from send_whatsapp.client.recipients.cells import FileError
from send_whatsapp.client.recipients.files import read
from send_whatsapp.client.recipients.reading import ReadOptions
from tests.client.recipients.conftest import checked


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ("to,name\n+1234567890,Ana\n", 2),
        ("to;name\n+1234567890;Ana\n", 2),
        ("to\tname\n+1234567890\tAna\n", 2),
        ("to;name\n+1234567890;Ana\n,,,\n", 2),
        ('to;"name"\n+1234567890;"Ana"\n', 2),
        ("sep=;\r\nto;name\r\n+1234567890;Ana\r\n", 3),
        ("SEP=,\nto,name\n+1234567890,Ana\n", 3),
        ('"sep=;"\nto;name\n+1234567890;Ana\n', 3),
        ("\ufeffsep=\t\nto\tname\n+1234567890\tAna\n", 3),
        ("sep=|\n\nto|name\n+1234567890|Ana\n", 4),
        ("name;to;a,b,c\nAna;+1234567890;x\n", 2),
    ],
)
def test_the_separator_is_found(tmp_path: Path, data: str, line: int) -> None:
    (tmp_path / "a.csv").write_text(data)
    rows, _ = checked(tmp_path / "a.csv", template="t")
    assert [(row.row, row.request.to) for row in rows] == [(line, "+1234567890")]
    assert rows[0].request.variables is not None
    assert rows[0].request.variables["name"] == "Ana"


def test_a_separator_of_a_first_line_wins_and_counts_as_a_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("sep=;\nTitle\nto;a,b\n+1234567890;x,y\n")
    rows, _ = checked(tmp_path / "a.csv", template="t", options=ReadOptions(header_row=3))
    assert [(row.row, row.request.variables) for row in rows] == [(4, {"a,b": "x,y"})]


@pytest.mark.parametrize(
    "data",
    [
        "to,name\n+1234567890,Ana,\n",
        "to,name\n+1234567890,Ana,,,  ,\u00a0\n",
        "to,name,\n+1234567890,Ana,\n",
        "to,name,,\n+1234567890,Ana\n",
    ],
)
def test_empty_cells_behind_the_last_column_do_not_matter(tmp_path: Path, data: str) -> None:
    (tmp_path / "a.csv").write_text(data)
    rows, wrong = checked(tmp_path / "a.csv", template="t")
    assert not wrong
    assert rows[0].request.variables == {"name": "Ana"}


@pytest.mark.parametrize(
    "data",
    [
        "to,message\n+1234567890,one,two\n",
        "to,message,\n+1234567890,one,two\n",
        "to,message\n+1234567890,one,,two\n",
    ],
)
def test_a_row_with_too_many_cells_is_wrong(tmp_path: Path, data: str) -> None:
    (tmp_path / "a.csv").write_text(data)
    rows, wrong = checked(tmp_path / "a.csv")
    assert not rows
    assert [row.row for row in wrong] == [2]
    assert "too many cells (expected 2" in wrong[0].why


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


def test_quoted_line_breaks_and_quotes_arrive_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'to,message\r\n+1234567890,"a\r\nb ""c""\n5"" d"\r\n')
    rows, _ = checked(tmp_path / "a.csv")
    assert rows[0].request.message == 'a\r\nb "c"\n5" d'


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ('to,name\n+1234567890,Ana\n+1234567891,"Bo"x\n', "Line 3: a cell has text behind"),
        ('to,name\n+1234567890,"Ana\n', "Line 2: a cell has text behind"),
        ('to,name\n+1234567890,"Ana\n+1234567891,Bo\n+1234567892,Cy\n', "Line 2: a quote"),
        ('to,name\n+1234567890,"Ana\n+1234567891,"Bo"\n', "Line 2: a quote"),
        ('sep=,\nto,name\n+1234567890,"A"B\n', "Line 3: a cell has text behind"),
        ('"to"x,name\n+1234567890,A\n', "Line 1: a cell has text behind"),
    ],
)
def test_a_stray_quote_is_named_by_its_line(tmp_path: Path, data: str, place: str) -> None:
    (tmp_path / "a.csv").write_text(data)
    with pytest.raises(FileError, match=place):
        read(tmp_path / "a.csv", ReadOptions())


def test_a_quote_inside_a_cell_that_is_not_quoted_is_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('to,name\n+1234567890,5" pipe\n')
    rows, _ = checked(tmp_path / "a.csv", template="t")
    assert rows[0].request.variables == {"name": '5" pipe'}


@pytest.mark.parametrize("error", ["#N/A", "#REF!", "#DIV/0!", " #VALUE! ", "#NV", "########"])
def test_the_errors_of_a_spreadsheet_are_refused(tmp_path: Path, error: str) -> None:
    (tmp_path / "a.csv").write_text(f"to,name\n+1234567890,{error}\n+1234567891,#1\n")
    rows, wrong = checked(tmp_path / "a.csv", template="t")
    assert [row.row for row in rows] == [3]
    assert [row.row for row in wrong] == [2]
    assert wrong[0].why.startswith("variables.name holds")


@pytest.mark.parametrize(
    ("size", "reason"),
    [(4_096, ""), (4_097, "got 4097"), (200_000, "got 200000")],
)
def test_a_cell_may_be_as_large_as_the_contract_allows(
    tmp_path: Path, size: int, reason: str
) -> None:
    (tmp_path / "a.csv").write_text(f"to,message\n+1234567890,{'x' * size}\n")
    rows, wrong = checked(tmp_path / "a.csv")
    assert [row.why for row in wrong if reason not in row.why] == []
    assert (len(rows), len(wrong)) == ((0, 1) if reason else (1, 0))
