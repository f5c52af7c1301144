"""Opens the parts of an Excel workbook: its sheets, texts and number formats.

openpyxl would hide what decides here whether a row may be sent: hidden rows, formulas without a
value, `_x005F_` in texts, and which of two formats with the same code is a built-in one.
"""

import posixpath
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO
from xml.etree.ElementTree import Element, iterparse

from send_whatsapp.client.recipients.cells import FileError
from send_whatsapp.client.recipients.excel_formats import NumberFormat

_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")
_TRUE = ("1", "true")


@dataclass(frozen=True)
class Sheet:
    """A sheet with cells; `part` is the name of its file in the workbook."""

    name: str
    visible: bool
    part: str


def local_name(element: Element) -> str:
    """Return the name of an element without its namespace, of which there are two editions."""
    return element.tag.rpartition("}")[2]


def is_true(value: str | None) -> bool:
    """Return whether an attribute is set to true."""
    return value in _TRUE


def elements(source: IO[bytes], *names: str) -> Iterator[Element]:
    """Yield each element with one of these names as soon as it is complete, then empty it."""
    for _, element in iterparse(source):
        if local_name(element) in names:
            yield element
            element.clear()


def plain_text(element: Element) -> str:
    """Return the text of a string: its runs of rich text joined, without phonetic hints."""
    text = []
    for child in element:
        if local_name(child) == "t":
            text.append(unescaped(child.text or ""))
        elif local_name(child) == "r":
            text += [unescaped(t.text or "") for t in child if local_name(t) == "t"]
    return "".join(text)


def unescaped(text: str) -> str:
    """Return text with `_x000D_` and the like decoded (ECMA-376, ST_Xstring).

    `_x005F_` is the underscore of a text that only looks like such an escape.
    """
    if "_x" not in text:
        return text
    decoded = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    # Two escapes may be the halves of one character.
    return decoded.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class Workbook:
    """An open workbook. Raises FileError, or the error of the zip archive or the XML."""

    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path)
        self._names = {name.replace("\\", "/").lower(): name for name in self._zip.namelist()}
        main = next(
            (part for kind, part in self._related("").values() if kind == "officeDocument"), None
        )
        if main is None or not main.endswith(".xml"):
            raise FileError("The file is not an Excel workbook: save it as .xlsx or as CSV UTF-8")
        self._parts = self._related(main)
        self.sheets: list[Sheet] = []
        self.date1904 = False
        self.recalculates = False
        with self.open(main) as source:
            for element in elements(source, "sheet", "workbookPr", "calcPr"):
                self._read(element)

    def __enter__(self) -> "Workbook":
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def open(self, part: str) -> IO[bytes]:
        """Open a part by its name. Raises FileError if the workbook does not have it."""
        name = self._names.get(part.lower())
        if name is None:
            raise FileError("The file is not a complete Excel workbook: open it and save it again")
        return self._zip.open(name)

    @cached_property
    def strings(self) -> list[str]:
        """The texts that cells refer to by their index."""
        part = self._part("sharedStrings")
        if part is None:
            return []
        with self.open(part) as source:
            return [plain_text(element) for element in elements(source, "si")]

    @cached_property
    def formats(self) -> list[NumberFormat]:
        """The number formats that cells refer to by their index."""
        part = self._part("styles")
        if part is None:
            return []
        codes: dict[int, str] = {}
        ids: list[int] = []
        with self.open(part) as source:
            for element in elements(source, "numFmt", "cellXfs"):
                if local_name(element) == "numFmt":
                    number = int(element.get("numFmtId", 0))
                    codes[number] = unescaped(element.get("formatCode", ""))
                else:
                    ids = [int(xf.get("numFmtId", 0)) for xf in element if local_name(xf) == "xf"]
        return [NumberFormat.of(number, codes.get(number), self.date1904) for number in ids]

    def _read(self, element: Element) -> None:
        name = local_name(element)
        if name == "workbookPr":
            self.date1904 = is_true(element.get("date1904"))
        elif name == "calcPr":
            self.recalculates = is_true(element.get("fullCalcOnLoad"))
        else:
            relation = next((v for k, v in element.attrib.items() if k.endswith("}id")), "")
            kind, part = self._parts.get(relation, ("", ""))
            # A chart sheet has no cells.
            if kind == "worksheet":
                visible = element.get("state", "visible") == "visible"
                self.sheets.append(Sheet(unescaped(element.get("name", "")), visible, part))

    def _part(self, kind: str) -> str | None:
        return next((part for found, part in self._parts.values() if found == kind), None)

    def _related(self, part: str) -> dict[str, tuple[str, str]]:
        """Return kind and name of the parts that a part refers to, by the id of the reference."""
        folder, name = posixpath.split(part)
        relations = posixpath.join(folder, "_rels", f"{name}.rels")
        if relations.lower() not in self._names:
            return {}
        with self.open(relations) as source:
            return {
                element.get("Id", ""): (
                    element.get("Type", "").rpartition("/")[2],
                    posixpath.normpath(posixpath.join("/", folder, element.get("Target", "")))[1:],
                )
                for element in elements(source, "Relationship")
            }
