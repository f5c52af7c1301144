"""Columns: how their names are matched, which ones rows cannot have, and where the header is."""

import json
from pathlib import Path

import pytest

from send_whatsapp.client.recipients.cells import FileError
from send_whatsapp.client.recipients.columns import row_names
from send_whatsapp.client.recipients.files import read
from send_whatsapp.client.recipients.reading import ReadOptions
from send_whatsapp.contract.batch_body import BatchBody
from send_whatsapp.contract.request import SendWhatsAppRequest
from tests.client.recipients.conftest import checked
from tests.client.recipients.workbooks import row, write_sheet

TO = "+14155552671"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        *(("to", "to"), (" TO ", "to"), ("To\u00a0", "to"), ("\ufeffto", "to")),
        *(("KEY", "key"), ("Message", "message"), ("TEMPLATE", "template")),
        *(("fileurl", "fileUrl"), ("File URL", "fileUrl"), ("file_type", "fileType")),
        ("Fallback Message", "fallback_message"),
    ],
)
def test_fields_match_without_regard_to_case_and_blanks(written: str, name: str) -> None:
    assert row_names([written, "to"], {})[written] == name


def test_names_of_variables_stay_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f" To , First Name \n{TO},Ana\n")
    rows, _ = checked(tmp_path / "a.csv", template="t")
    assert rows[0].request.variables == {"First Name": "Ana"}


UNSUPPORTED = sorted(
    {
        *(field.alias or "" for field in SendWhatsAppRequest.model_fields.values()),
        *(field.alias or "" for field in BatchBody.model_fields.values()),
        *("inOrder", "ignoreOptOut", "sendWindow"),
    }
    - {"to", "key", "message", "template", "fileUrl", "fileType", "rows"}
)


@pytest.mark.parametrize("name", UNSUPPORTED)
@pytest.mark.parametrize("spelling", [str, str.upper, lambda name: f" {name} "])
@pytest.mark.parametrize("kind", ["csv", "xlsx", "jsonl"])
def test_a_column_that_rows_do_not_support_is_refused_by_name(
    tmp_path: Path, name: str, spelling: type[str], kind: str
) -> None:
    path = tmp_path / f"a.{kind}"
    written = spelling(name)
    if kind == "csv":
        path.write_text(f"to,{written}\n{TO},x\n")
    elif kind == "xlsx":
        write_sheet(path, row("to", written), row(TO, "x"))
    else:
        # In JSON Lines `variables` is an object of template variables.
        name, written = ("sendAt", "sendAt") if name == "variables" else (name, written)
        path.write_text(json.dumps({"to": TO}) + "\n" + json.dumps({"to": TO, written: "x"}))
    for options in (ReadOptions(), ReadOptions(column_map={"name": written})):
        if options.column_map:
            read(path, options)
            continue
        with pytest.raises(FileError, match=f"`{name}`"):
            read(path, options)


@pytest.mark.parametrize("name", ["send_at", "Expires at", "in-order", "per minute"])
def test_other_spellings_are_refused_too(name: str) -> None:
    with pytest.raises(FileError, match="cannot have its own"):
        row_names(["to", name], {})
    with pytest.raises(FileError, match="cannot have its own"):
        row_names(["to", "x"], {name: "x"})


def test_columns_can_have_other_names(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Phone,name\n+1234567890,Ana\n")
    table = read(tmp_path / "a.csv", ReadOptions(column_map={"to": " phone", "x": "name"}))
    assert table.columns == {"Phone": "to", "name": "x"}
    assert table.rows == [(2, {"to": "+1234567890", "x": "Ana"})]


@pytest.mark.parametrize(
    ("data", "column_map", "found", "advice"),
    [
        ("Phone,Name\n1,2\n", {}, "`Phone`, `Name`", "--column-map to=Phone"),
        ("a;Mobile no.;c\n1;2;3\n", {}, "`a`, `Mobile no.`, `c`", '--column-map to="Mobile no."'),
        ("a,b\n1,2\n", {}, "`a`, `b`", "--column-map to=NAME"),
        ("Phone,Name\n1,2\n", {"to": "Telephone"}, "`Phone`, `Name`", "--column-map to=Phone"),
        ("Phone,Name\n1,2\n", {"Phone": "to"}, "`Phone`, `Name`", "--column-map to=Phone"),
    ],
)
def test_an_unknown_layout_lists_the_columns_and_suggests_a_map(
    tmp_path: Path, data: str, column_map: dict[str, str], found: str, advice: str
) -> None:
    (tmp_path / "a.csv").write_text(data)
    with pytest.raises(FileError) as wrong:
        read(tmp_path / "a.csv", ReadOptions(column_map=column_map))
    assert found in str(wrong.value)
    assert advice in str(wrong.value)


def test_a_file_without_a_header_is_named_as_such_without_its_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"{TO},Ana\n+14155552672,Bo\n")
    with pytest.raises(FileError, match="must name the columns") as wrong:
        read(tmp_path / "a.csv", ReadOptions())
    assert TO not in str(wrong.value)


@pytest.mark.parametrize(
    "data", ["to,To\n1,2\n", "Phone,to\n1,2\n", "to,fileUrl,file url\n1,2,3\n", "to,x,x\n1,2,3\n"]
)
def test_two_columns_for_one_field_are_refused(tmp_path: Path, data: str) -> None:
    (tmp_path / "a.csv").write_text(data)
    column_map = {"to": "Phone"} if "Phone" in data else {}
    with pytest.raises(FileError, match="two columns with the same name"):
        read(tmp_path / "a.csv", ReadOptions(column_map=column_map))


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_title_above_the_header_needs_the_line_of_the_header(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    if kind == "csv":
        path.write_text(f'"Customers, January"\n\nName;To\nAna;{TO}\n')
    else:
        write_sheet(path, row("Customers, January"), row(), row("Name", "To"), row("Ana", TO))
    with pytest.raises(FileError, match="add --header-row 3"):
        read(path, ReadOptions())
    rows, _ = checked(path, template="t", options=ReadOptions(header_row=3))
    assert [(line.row, line.request.to, line.request.variables) for line in rows] == [
        (4, TO, {"Name": "Ana"})
    ]
    for header_row in (2, 9):
        with pytest.raises(FileError, match=f"Line {header_row} of the file has no column names"):
            read(path, ReadOptions(header_row=header_row))


def test_the_error_about_a_title_knows_the_column_map(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"Title\nPhone,x\n{TO},y\n")
    with pytest.raises(FileError, match="add --header-row 2"):
        read(tmp_path / "a.csv", ReadOptions(column_map={"to": "phone"}))
