"""Excel files: what the sheet shows goes out, and everything else is refused by line."""

import zipfile
from datetime import date, datetime, time
from pathlib import Path

import openpyxl
import pytest

from send_whatsapp.client.recipients.cells import FileError
from send_whatsapp.client.recipients.files import read
from send_whatsapp.client.recipients.reading import HiddenRows, ReadOptions
from tests.client.recipients.conftest import checked
from tests.client.recipients.workbooks import number, row, sheet, write_parts, write_sheet

TO = "+14155552671"
HEADER = row("to", "x")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "TRUE"),
        (False, "FALSE"),
        (0.1 + 0.2, "0.3"),
        (19.99 * 3, "59.97"),
        (5, "5"),
        (5.0, "5"),
        (1e22, "10000000000000000000000"),
        (-0.5, "-0.5"),
        (date(2027, 1, 31), "2027-01-31"),
        (datetime(2027, 1, 31, 9, 30), "2027-01-31 9:30:00"),
        (time(9, 30), "9:30:00"),
        ("Zoë", "Zoë"),
    ],
)
def test_a_value_that_openpyxl_writes_goes_out_as_excel_shows_it(
    tmp_path: Path, value: object, shown: str
) -> None:
    book = openpyxl.Workbook()
    assert book.active
    book.active.append(["to", "x"])
    book.active.append([TO, value])
    book.save(tmp_path / "a.xlsx")
    rows, wrong = checked(tmp_path / "a.xlsx", template="t")
    assert not wrong
    assert rows[0].request.variables == {"x": shown}


@pytest.mark.parametrize(
    ("cell", "to"),
    [
        (number("4155552671"), "+14155552671"),
        (number("9.72508123456E11"), "+972508123456"),
        (number("4155552671", 1), "+14155552671"),
        (number("4155552671", 2), "+14155552671"),
        (number("4155552671.0", 3), "+14155552671"),
        (number("4155552671", 4), "+14155552671"),
        ("<c><f>1+1</f><v>4155552671</v></c>", "+14155552671"),
    ],
)
def test_a_number_in_the_column_to_is_a_phone_number_whatever_its_format(
    tmp_path: Path, cell: str, to: str
) -> None:
    formats = (0, "00000000000", '"Tel. "0', 2, r"[<=9999999]###\-####;\(###\)\ ###\-####")
    write_sheet(tmp_path / "a.xlsx", row(" TO "), row(cell), formats=formats)
    rows, wrong = checked(tmp_path / "a.xlsx")
    assert not wrong
    assert [line.request.to for line in rows] == [to]


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        (number("4155552671.5"), "fraction"),
        (number("-4155552671"), "negative"),
        (number("46053", 1), "date"),
        (number("46053", 2), "date"),
        (number("46053", 3), "date"),
        (number("4155552671", 4), "date"),
        ('<c t="d"><v>2027-01-31</v></c>', "date"),
        ('<c t="e"><v>#N/A</v></c>', "#N/A"),
        ("<c><f>CONCAT(1,2)</f></c>", "formula"),
        ("#REF!", "#REF!"),
        ('<c t="b"><v>1</v></c>', ""),
        ("", ""),
    ],
)
def test_what_is_not_a_phone_number_in_the_column_to_is_refused_by_line(
    tmp_path: Path, cell: str, why: str
) -> None:
    formats = (0, 14, "dd/mm/yyyy", "[h]:mm", 57)
    write_sheet(tmp_path / "a.xlsx", HEADER, row(cell, "y"), formats=formats)
    rows, wrong = checked(tmp_path / "a.xlsx")
    assert not rows
    assert [(line.row, line.type) for line in wrong] == [(2, "InvalidPhoneNumber")]
    assert wrong[0].why.startswith("to")
    assert why in wrong[0].why


UNUSABLE = [
    ('<c t="e"><v>#N/A</v></c>', "#N/A"),
    ('<c t="e"><f>1/0</f><v>#DIV/0!</v></c>', "#DIV/0!"),
    ("#N/A", "#N/A"),
    ("#####", "#"),
    ("<c><f>CONCAT(A1,1)</f></c>", "formula"),
    ("<c><f>CONCAT(A1,1)</f><v></v></c>", "formula"),
    ("<c><f>CONCAT(A1,1)</f><v/></c>", "formula"),
    ('<c t="str"><f>CONCAT(A1,1)</f></c>', "formula"),
    (number("12345678901234567"), '=TEXT(row 2,"0")'),
    (number("5.55E-17"), "rounded"),
    (number("1E999"), "too large"),
    (number(1.5, 1), '=TEXT(row 2,"[h]:mm")'),
    (number(1234, 2), '=TEXT(row 2,"00000")'),
    (number(46053, 3), "each computer"),
    (number(46053, 4), "each computer"),
    (number(46053, 5), '"d ""of"" mmmm"'),
]


@pytest.mark.parametrize(("cell", "why"), UNUSABLE)
def test_a_cell_that_cannot_go_out_as_shown_is_refused_by_line(
    tmp_path: Path, cell: str, why: str
) -> None:
    formats = (0, "[h]:mm", "00000", 14, 57, 'd "of" mmmm')
    write_sheet(
        tmp_path / "a.xlsx", HEADER, row(TO, cell), row("+14155552672", "good"), formats=formats
    )
    rows, wrong = checked(tmp_path / "a.xlsx", template="t")
    assert [line.row for line in rows] == [3]
    assert [(line.row, line.type) for line in wrong] == [(2, "InvalidRequest")]
    assert wrong[0].why.startswith("variables.x ")
    assert why in wrong[0].why


@pytest.mark.parametrize(("cell", "why"), UNUSABLE)
def test_a_cell_that_no_row_uses_does_not_matter(tmp_path: Path, cell: str, why: str) -> None:
    formats = (0, "[h]:mm", "00000", 14, 57, 'd "of" mmmm')
    write_sheet(tmp_path / "a.xlsx", HEADER, row(TO, cell), formats=formats)
    rows, wrong = checked(tmp_path / "a.xlsx", message="Hi")
    assert (len(rows), wrong) == (1, [])


@pytest.mark.parametrize("column", ["message", "template", "key", "fileUrl", "fallback_message"])
def test_an_unusable_cell_of_a_field_is_refused(tmp_path: Path, column: str) -> None:
    write_sheet(tmp_path / "a.xlsx", row("to", column), row(TO, '<c t="e"><v>#REF!</v></c>'))
    rows, wrong = checked(tmp_path / "a.xlsx", template="t")
    assert not rows
    assert column in wrong[0].why
    assert "#REF!" in wrong[0].why


def test_an_empty_result_of_a_formula_is_an_empty_cell(tmp_path: Path) -> None:
    empty = '<c t="str"><f>IF(1,"")</f><v></v></c>'
    write_sheet(tmp_path / "a.xlsx", HEADER, row(TO, empty))
    assert "empty" in checked(tmp_path / "a.xlsx", template="t")[1][0].why


def test_the_result_of_a_formula_goes_out(tmp_path: Path) -> None:
    cells = [
        "<c><f>0.1+0.2</f><v>0.30000000000000004</v></c>",
        '<c t="str"><f>B1</f><v>a_x000D_</v></c>',
        '<c t="b"><f>TRUE()</f><v>1</v></c>',
        "<c><f>1-1</f><v>0</v></c>",
    ]
    write_sheet(tmp_path / "a.xlsx", row("to", "a", "b", "c", "d"), row(TO, *cells))
    rows, _ = checked(tmp_path / "a.xlsx", template="t")
    assert rows[0].request.variables == {"a": "0.3", "b": "a\r", "c": "TRUE", "d": "0"}


def test_the_0_of_a_program_that_cannot_calculate_is_not_a_result(tmp_path: Path) -> None:
    write_sheet(
        tmp_path / "a.xlsx",
        HEADER,
        row(TO, "<c><f>B1*2</f><v>0</v></c>"),
        workbook='<calcPr fullCalcOnLoad="1"/>',
    )
    assert "formula" in checked(tmp_path / "a.xlsx", template="t")[1][0].why


@pytest.mark.parametrize("dimension", ["A1:B3", "A1:A9", "A1", "Z50"])
def test_a_wrong_dimension_drops_nothing(tmp_path: Path, dimension: str) -> None:
    people = [row(f"+1415555260{i}", f"Person {i}") for i in range(9)]
    write_sheet(tmp_path / "a.xlsx", HEADER, *people, before=f'<dimension ref="{dimension}"/>')
    rows, _ = checked(tmp_path / "a.xlsx", template="t")
    assert [line.request.variables for line in rows] == [{"x": f"Person {i}"} for i in range(9)]


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("a_x000D_\nb", "a\r\nb"),
        ("a_x000A_b", "a\nb"),
        ("_x005F_x000D_", "_x000D_"),
        ("_x005f_", "_"),
        ("_x0041__x0042_", "AB"),
        ("_xD83D__xDE00_", "\U0001f600"),
        ("snake_x_case _x12_", "snake_x_case _x12_"),
    ],
)
@pytest.mark.parametrize("shared", [True, False])
def test_escapes_are_decoded(tmp_path: Path, written: str, text: str, shared: bool) -> None:
    cell = '<c t="s"><v>0</v></c>' if shared else written
    write_sheet(
        tmp_path / "a.xlsx",
        row("to", "message"),
        row(TO, cell),
        strings=f"<si><t>{written}</t></si>",
    )
    assert checked(tmp_path / "a.xlsx")[0][0].request.message == text


def test_rich_text_is_joined_without_phonetic_hints(tmp_path: Path) -> None:
    write_sheet(
        tmp_path / "a.xlsx",
        row("to", "message"),
        row(TO, '<c t="s"><v>0</v></c>'),
        strings="<si><r><t>田</t></r><r><rPr><b/></rPr><t>中 _x0041_</t></r>"
        '<rPh sb="0" eb="2"><t>タナカ</t></rPh></si>',
    )
    assert checked(tmp_path / "a.xlsx")[0][0].request.message == "田中 A"


@pytest.mark.parametrize("attributes", ['hidden="1"', 'hidden="true"', 'ht="0" customHeight="1"'])
@pytest.mark.parametrize(
    ("policy", "sent", "refused"),
    [
        (HiddenRows.REFUSE, [2, 5], [3]),
        (HiddenRows.SEND, [2, 3, 5], []),
        (HiddenRows.SKIP, [2, 5], []),
    ],
)
def test_hidden_rows_are_refused_unless_the_caller_decides(
    tmp_path: Path, attributes: str, policy: HiddenRows, sent: list[int], refused: list[int]
) -> None:
    write_sheet(
        tmp_path / "a.xlsx",
        HEADER,
        row(TO, "a"),
        row("+14155552672", "b", attributes=attributes),
        row(attributes=attributes),
        row("+14155552673", "c"),
        after='<autoFilter ref="A1:B5"/>',
    )
    rows, wrong = checked(tmp_path / "a.xlsx", options=ReadOptions(hidden_rows=policy))
    assert [line.row for line in rows] == sent
    assert [line.row for line in wrong] == refused
    assert all("--hidden-rows" in line.why for line in wrong)


PEOPLE = sheet(HEADER, row(TO, "a"))
OTHERS = sheet(HEADER, row("+14155552672", "b"))


@pytest.mark.parametrize(
    ("state", "name", "to"),
    [
        ("visible", None, TO),
        ("visible", "Second", "+14155552672"),
        ("hidden", " second ", "+14155552672"),
        ("veryHidden", "First", TO),
    ],
)
def test_the_sheet_is_the_first_one_or_the_one_with_the_given_name(
    tmp_path: Path, state: str, name: str | None, to: str
) -> None:
    sheets = [("First", state, PEOPLE), ("Second", "visible", OTHERS)]
    write_parts(tmp_path / "a.xlsx", sheets)
    rows, _ = checked(tmp_path / "a.xlsx", options=ReadOptions(sheet=name))
    assert [line.request.to for line in rows] == [to]


@pytest.mark.parametrize(
    ("state", "name"), [("hidden", None), ("veryHidden", None), ("visible", "Third")]
)
def test_a_hidden_first_sheet_and_an_unknown_one_are_refused_with_the_visible_ones(
    tmp_path: Path, state: str, name: str | None
) -> None:
    sheets = [
        ("First", state, PEOPLE),
        ("Second", "visible", OTHERS),
        ("Other", "hidden", OTHERS),
        ("Last", "visible", OTHERS),
    ]
    write_parts(tmp_path / "a.xlsx", sheets)
    with pytest.raises(FileError, match="`Second`, `Last`") as wrong:
        read(tmp_path / "a.xlsx", ReadOptions(sheet=name))
    assert "`Other`" not in str(wrong.value)


def test_a_merged_cell_belongs_to_one_row(tmp_path: Path) -> None:
    write_sheet(
        tmp_path / "a.xlsx",
        row("to", "message"),
        row(TO, "Hi"),
        row("+14155552672"),
        row("+14155552673", "Hello"),
        after='<mergeCells><mergeCell ref="B2:B3"/><mergeCell ref="C1:XFD1048576"/></mergeCells>',
    )
    rows, wrong = checked(tmp_path / "a.xlsx", message="instead")
    assert [line.row for line in rows] == [2, 4]
    assert [line.row for line in wrong] == [3]
    assert "message is part of a merged cell" in wrong[0].why


def test_a_merged_title_above_the_header_is_no_row(tmp_path: Path) -> None:
    write_sheet(
        tmp_path / "a.xlsx",
        row("People"),
        row(),
        HEADER,
        row(TO, "a"),
        after='<mergeCells><mergeCell ref="A1:C2"/></mergeCells>',
    )
    rows, _ = checked(tmp_path / "a.xlsx", options=ReadOptions(header_row=3))
    assert [line.row for line in rows] == [4]


def test_rows_and_cells_without_and_with_places_are_read(tmp_path: Path) -> None:
    write_sheet(
        tmp_path / "a.xlsx",
        '<row r="3"><c r="C3" t="inlineStr"><is><t>to</t></is></c>'
        '<c t="inlineStr"><is><t>x</t></is></c></row>',
        '<row r="7"><c r="C7"><v>4155552671</v></c><c r="D7"><v>1.5</v></c></row>',
    )
    rows, _ = checked(tmp_path / "a.xlsx", template="t")
    assert [(line.row, line.request.to, line.request.variables) for line in rows] == [
        (7, TO, {"x": "1.5"})
    ]


def test_the_calendar_from_1904_is_read(tmp_path: Path) -> None:
    write_sheet(
        tmp_path / "a.xlsx",
        HEADER,
        row(TO, number(44591, 1)),
        formats=(0, "yyyy-mm-dd"),
        workbook='<workbookPr date1904="1"/>',
    )
    rows, _ = checked(tmp_path / "a.xlsx", template="t")
    assert rows[0].request.variables == {"x": "2026-01-31"}


@pytest.mark.parametrize(
    ("xml", "reason"),
    [
        ("<nonsense", "damaged"),
        (sheet('<row r="2"/>', '<row r="1"/>'), "twice"),
        (sheet('<row r="1"><c r="XFE1"><v>1</v></c></row>'), "16,384"),
        (sheet(row('<c t="s"><v>99</v></c>')), "damaged"),
        (sheet(row("to", '<c t="e"><v>#N/A</v></c>')), "column 2"),
        (sheet(row("to", number("x"))), "damaged"),
        (sheet(), "no rows"),
    ],
)
def test_a_damaged_sheet_is_a_file_error(tmp_path: Path, xml: str, reason: str) -> None:
    write_parts(tmp_path / "a.xlsx", [("S1", "visible", xml)])
    with pytest.raises(FileError, match=reason):
        read(tmp_path / "a.xlsx", ReadOptions())


def test_a_workbook_without_sheets_and_other_archives_are_refused(tmp_path: Path) -> None:
    write_parts(tmp_path / "a.xlsx", [])
    with pytest.raises(FileError, match="no sheet"):
        read(tmp_path / "a.xlsx", ReadOptions())
    with zipfile.ZipFile(tmp_path / "b.ods", "w") as archive:
        archive.writestr("content.xml", "<x/>")
    with pytest.raises(FileError, match=r"save it as \.xlsx"):
        read(tmp_path / "b.ods", ReadOptions())
    (tmp_path / "c.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    with pytest.raises(FileError, match="password"):
        read(tmp_path / "c.xls", ReadOptions())


def test_encoding_is_not_an_option_for_excel_nor_sheet_for_text(tmp_path: Path) -> None:
    write_sheet(tmp_path / "a.xlsx", HEADER, row(TO, "a"))
    with pytest.raises(FileError, match="--encoding"):
        read(tmp_path / "a.xlsx", ReadOptions(encoding="cp1252"))
    (tmp_path / "a.csv").write_text("to\n+14155552671\n")
    with pytest.raises(FileError, match="--sheet"):
        read(tmp_path / "a.csv", ReadOptions(sheet="S1"))
