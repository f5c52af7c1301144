"""Whatever a file holds, it is rows, wrong rows by line, or one error: never another exception."""

import csv
import io
import json
import string
import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from send_whatsapp.client.recipients.cells import FileError, Table, printable
from send_whatsapp.client.recipients.files import read
from send_whatsapp.client.recipients.placeholders import unfilled_placeholders
from send_whatsapp.client.recipients.reading import HiddenRows, ReadOptions
from send_whatsapp.client.recipients.row_fields import EmptyCells
from send_whatsapp.client.recipients.rows import Duplicates, each_person_once, rows_of
from send_whatsapp.contract.parts import MAX_PART_BYTES, split
from tests.client.recipients.workbooks import sheet, write_parts

PHONES = st.sampled_from(
    ["+14155552671", " 4155552672 ", "4155552673.0", "4.1E+11", "+1415555267\u00a0", "\t", "0049"]
)
ANY_TEXT = st.text(st.characters(), max_size=30)
CELLS = st.one_of(
    PHONES,
    ANY_TEXT,
    st.sampled_from(['"', 'a"b', "{name}", "#N/A", "a\nb", "", "  ", "x" * 5_000, "t", "image"]),
)
NAMES = st.one_of(
    st.sampled_from(
        [
            *("to", " TO", "key", "message", "template", "fileUrl", "fileType", "name", "NAME", ""),
            *("fallback_message", "variables", "sendAt", "delivery", "\ufeffto", "{name}"),
        ]
    ),
    ANY_TEXT,
)
OPTIONS = st.builds(
    ReadOptions,
    column_map=st.dictionaries(NAMES, NAMES, max_size=2),
    header_row=st.none() | st.integers(1, 5),
    sheet=st.none() | st.sampled_from(["S1", "S2"]),
    hidden_rows=st.sampled_from(HiddenRows),
    encoding=st.none() | st.sampled_from(["cp1252", "utf-8", "utf-16", "shift_jis", "x", "utf-7"]),
)
PLAIN = st.one_of(st.just(ReadOptions()), OPTIONS)
COMMON = st.sampled_from(
    [{}, {"message": "Hi {name}"}, {"template": "t"}, {"template": "t", "variables": {"x": "y"}}]
)


def _read(path: Path, options: ReadOptions) -> Table | FileError:
    try:
        return read(path, options)
    except FileError as error:
        return error


def check(
    name: str,
    data: bytes | None,
    options: ReadOptions,
    common: dict[str, object],
    sheets: list[tuple[str, str, str]] | None = None,
) -> None:
    """Read a file and check its rows as `batch send` does."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        if data is not None:
            path.write_bytes(data)
        else:
            formats = (0, 14, "d.m.yyyy h:mm", "#,##0.00", 9)
            write_parts(path, sheets or [], formats=formats, strings="<si><t>a</t></si>")
        table = _read(path, options)
    if isinstance(table, FileError):
        assert str(table).isprintable()
        return
    unfilled_placeholders(common, {*table.columns, *table.columns.values()})
    for empty_cells in EmptyCells:
        rows, wrong = rows_of(table.rows, common, "k", "US", empty_cells)
        assert len(rows) + len(wrong) == len(table.rows)
        for row in wrong:
            assert str(row) == printable(str(row))
            assert row.outcome().model_dump_json()
        rows, _ = each_person_once(rows, "k", Duplicates.FIRST)
        for part in split(rows, [row.outcome() for row in wrong]):
            assert len(part.model_dump_json().encode()) < 3 * MAX_PART_BYTES


@settings(max_examples=200, deadline=None)
@given(
    name=st.sampled_from(["a.csv", "a.jsonl", "a.xlsx", "a.json", "a.txt", "a"]),
    data=st.binary(max_size=200),
    before=st.sampled_from(
        [b"", b"to,name\n", b'{"to": "', b"PK\x03\x04", b"\xff\xfe", b"sep=;\n"]
    ),
    options=PLAIN,
    common=COMMON,
)
def test_any_bytes(
    name: str, data: bytes, before: bytes, options: ReadOptions, common: dict[str, object]
) -> None:
    check(name, before + data, options, common)


@settings(max_examples=200, deadline=None)
@given(
    lines=st.lists(st.lists(CELLS, max_size=5), max_size=5),
    names=st.lists(NAMES, max_size=4),
    separator=st.sampled_from(",;\t"),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, None]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "cp1255"]),
    options=PLAIN,
    common=COMMON,
)
def test_any_csv(
    lines: list[list[str]],
    names: list[str],
    separator: str,
    quoting: int | None,
    encoding: str,
    options: ReadOptions,
    common: dict[str, object],
) -> None:
    text = io.StringIO(newline="")
    table = [["to", *names], *lines]
    if quoting is None:
        text.writelines(separator.join(line) + "\n" for line in table)
    else:
        csv.writer(text, delimiter=separator, quoting=quoting).writerows(table)  # type: ignore[arg-type]
    check("a.csv", text.getvalue().encode(encoding, errors="replace"), options, common)


JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), CELLS),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)
JSON_ROWS = st.builds(
    lambda to, cells: {"to": to} | cells,
    PHONES | JSON_VALUES,
    st.dictionaries(NAMES, JSON_VALUES, max_size=4),
)


@settings(max_examples=200, deadline=None)
@given(lines=st.lists(JSON_ROWS | JSON_VALUES, max_size=4), options=PLAIN, common=COMMON)
@example(lines=[{"to": 14155552671.0, "key": "\ud800"}], options=ReadOptions(), common={})
@example(lines=[{"to": "+14155552671", "\ud800": ""}], options=ReadOptions(), common={})
def test_any_json_lines(
    lines: list[object], options: ReadOptions, common: dict[str, object]
) -> None:
    text = "\n".join(map(json.dumps, lines))
    check("a.jsonl", text.encode(errors="surrogatepass"), options, common)


PIECES = st.one_of(
    st.sampled_from(
        [
            *('<row r="2" hidden="1">', "<row>", "</row>", '<row r="1e9">', '<row r="x">'),
            *('<c t="s">', '<c t="b">', '<c t="e">', '<c t="d">', '<c t="str">', "<c>", "</c>"),
            *('<c s="1">', '<c s="2">', '<c s="99">', '<c s="x">', '<c r="ZZZ1">', '<c r="?">'),
            *("<v>1</v>", "<v>-1.5</v>", "<v>1E400</v>", "<v>46053.4</v>", "<v/>", "<f>1</f>"),
            *("<v>99999999999999999999</v>", "<v>2027-01-31</v>", "<is><t>to</t></is>", "&#7;"),
        ]
    ),
    st.text(string.ascii_letters, max_size=3),
)
WELL_FORMED = st.builds(
    lambda kind, style, formula, value: (
        f'<c t="{kind}" s="{style}">{"<f>1</f>" * formula}<v>{value}</v></c>'
    ),
    st.sampled_from(["n", "s", "str", "b", "e", "d", "inlineStr", "?"]),
    st.integers(-1, 6),
    st.booleans(),
    st.one_of(
        st.integers(-5, 5),
        st.floats(),
        st.sampled_from(["", "4155552671", "46053.4", "2027-01-31T09:30:00Z", "#N/A", "x"]),
    ),
)


@settings(max_examples=200, deadline=None)
@given(
    pieces=st.one_of(
        st.lists(PIECES, max_size=12).map("".join),
        st.lists(st.lists(WELL_FORMED, max_size=3), max_size=3).map(
            lambda rows: "".join(f"<row>{''.join(cells)}</row>" for cells in rows)
        ),
    ),
    merged=st.sampled_from(["", "A1:B3", "A2:XFD1048576", "B9:A1", "x", "A1"]),
    state=st.sampled_from(["visible", "hidden"]),
    options=PLAIN,
    common=COMMON,
)
def test_any_sheet(
    pieces: str, merged: str, state: str, options: ReadOptions, common: dict[str, object]
) -> None:
    header = '<row r="1"><c t="inlineStr"><is><t>to</t></is></c><c t="str"><v>x</v></c></row>'
    after = f'<mergeCells><mergeCell ref="{merged}"/></mergeCells>'
    xml = sheet(header, pieces, after=after)
    check("a.xlsx", None, options, common, [("S1", state, xml), ("S2", "visible", xml)])
