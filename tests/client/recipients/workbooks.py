"""Writes workbooks part by part, with what openpyxl would not write: results of formulas, hidden
rows, wrong dimensions, escapes."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


def text(value: str) -> str:
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'


def number(value: object, style: int = 0) -> str:
    return f'<c s="{style}"><v>{value}</v></c>'


def row(*cells: str, attributes: str = "") -> str:
    """Return a row of text cells; what begins with `<` is the XML of a cell."""
    written = [cell if cell.startswith("<") else text(cell) for cell in cells]
    return f"<row {attributes}>{''.join(written)}</row>"


def sheet(*rows: str, before: str = "", after: str = "") -> str:
    data = f"<sheetData>{''.join(rows)}</sheetData>"
    return f'<worksheet xmlns="{MAIN}">{before}{data}{after}</worksheet>'


def write_parts(
    path: Path,
    sheets: Sequence[tuple[str, str, str]],
    *,
    formats: Sequence[int | str] = (),
    strings: str = "",
    workbook: str = "",
) -> Path:
    """Write a workbook.

    `sheets` are names, states and XML; `formats` are ids of built-in number formats or codes, which
    cells refer to by their position.
    """
    listed = "".join(
        f'<sheet name={quoteattr(name)} sheetId="{i}" state="{state}" r:id="rId{i}"/>'
        for i, (name, state, _) in enumerate(sheets, 1)
    )
    codes = "".join(
        f"<numFmt numFmtId='{164 + i}' formatCode={quoteattr(code)}/>"
        for i, code in enumerate(formats)
        if isinstance(code, str)
    )
    ids = [code if isinstance(code, int) else 164 + i for i, code in enumerate(formats)]
    styles = "".join(f'<xf numFmtId="{number}"/>' for number in ids)
    kinds = ["worksheet"] * len(sheets) + ["styles", "sharedStrings"]
    files = [f"worksheets/sheet{i}.xml" for i in range(1, len(sheets) + 1)]
    relations = "".join(
        f'<Relationship Id="rId{i}" Type="{RELATIONS}/{kind}" Target="{target}"/>'
        for i, (kind, target) in enumerate(
            zip(kinds, [*files, "styles.xml", "sharedStrings.xml"], strict=True), 1
        )
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{PACKAGE}"><Relationship Id="rId1"'
            f' Type="{RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}">{workbook}'
            f"<sheets>{listed}</sheets></workbook>",
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{PACKAGE}">{relations}</Relationships>',
        )
        archive.writestr(
            "xl/styles.xml",
            f'<styleSheet xmlns="{MAIN}"><numFmts>{codes}</numFmts><cellStyleXfs><xf numFmtId="9"/>'
            f"</cellStyleXfs><cellXfs>{styles}</cellXfs></styleSheet>",
        )
        archive.writestr("xl/sharedStrings.xml", f'<sst xmlns="{MAIN}">{strings}</sst>')
        for file, (_, _, xml) in zip(files, sheets, strict=True):
            archive.writestr(f"xl/{file}", xml)
    return path


def write_sheet(
    path: Path,
    *rows: str,
    before: str = "",
    after: str = "",
    formats: Sequence[int | str] = (),
    strings: str = "",
    workbook: str = "",
) -> Path:
    """Write a workbook with one visible sheet."""
    xml = sheet(*rows, before=before, after=after)
    parts = [("S1", "visible", xml)]
    return write_parts(path, parts, formats=formats, strings=strings, workbook=workbook)
