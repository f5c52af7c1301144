"""Encodings: UTF-8 and UTF-16 are read, and nothing else is guessed."""

from pathlib import Path

import pytest

from send_whatsapp.client.recipients.cells import FileError
from send_whatsapp.client.recipients.encodings import decoded
from send_whatsapp.client.recipients.files import read
from send_whatsapp.client.recipients.reading import ReadOptions

LINES = {
    "cp1255": ["to,name", "+972501234567,נועה", "+972501234568,דוד כהן"],
    "cp1251": ["to,name", "+79161234567,Иван Петров", "+79161234568,Ольга"],
    "koi8-r": ["to,name", "+79161234567,Иван Петров", "+79161234568,Ольга"],
    "cp1250": ["to,name", "+48501234567,Łukasz Wiśniewski", "+48501234568,Małgorzata"],
    "iso8859-2": ["to,name", "+48501234567,Łukasz Wiśniewski"],
    "shift_jis": ["to,name", "+819012345678,田中太郎", "+819012345679,鈴木"],
    "cp1254": ["to,name", "+905012345678,Gülşen Yıldız"],
    "cp1252": ["to,name", "+33612345603,José", "+491234567890,Jörg Müller"],
    "gb18030": ["to,name", "+8613800138000,王小明"],
    "cp1253": ["to,name", "+306912345678,Γιώργος"],
    "cp1256": ["to,name", "+201001234567,محمد علي"],
    "mac-roman": ["to,name", "+33612345603,José"],
    "utf-16-le": ["to,name", "+33612345603,José"],
    "utf-16-be": ["to,name", "+33612345603,José"],
    "utf-32": ["to,name", "+33612345603,José"],
}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", LINES)
def test_another_encoding_is_refused_and_read_once_it_is_named(encoding: str, end: str) -> None:
    data = end.join(LINES[encoding]).encode(encoding)
    with pytest.raises(FileError) as wrong:
        decoded(data, None)
    assert "--encoding" in str(wrong.value) or "save it as UTF-8" in str(wrong.value)
    assert decoded(data, encoding).split(end) == LINES[encoding]


@pytest.mark.parametrize("encoding", [name for name in LINES if not name.startswith("utf")])
def test_the_error_names_the_line_and_shows_likely_readings(encoding: str) -> None:
    lines = [LINES[encoding][0], "+14155552671,Ana", "+14155552671,Ana", *LINES[encoding][1:]]
    with pytest.raises(FileError, match="Line 4 of the file is not UTF-8") as wrong:
        decoded("\n".join(lines).encode(encoding), None)
    message = str(wrong.value)
    assert "as cp1252 it reads" in message
    assert 2 <= message.count("it reads") <= 4


@pytest.mark.parametrize("encoding", ["cp1255", "cp1251", "cp1250", "shift_jis", "cp1254"])
def test_the_right_reading_is_among_those_shown(encoding: str) -> None:
    with pytest.raises(FileError) as wrong:
        decoded("\n".join(LINES[encoding]).encode(encoding), None)
    assert LINES[encoding][1].split(",")[1] in str(wrong.value)


@pytest.mark.parametrize("lines", [["é", "Jos\udce9"], ["Jos\udce9", "é"]])
def test_a_file_that_mixes_utf_8_with_something_else_is_refused(lines: list[str]) -> None:
    data = "\n".join(["to,name", *lines]).encode(errors="surrogateescape")
    with pytest.raises(FileError, match=r"is not UTF-8.* is UTF-8, so the file may mix"):
        decoded(data, None)
    for encoding in ("cp1252", "latin-1", "cp1255", "utf-8", "ascii"):
        with pytest.raises(FileError, match="Line"):
            decoded(data, encoding)


def test_an_encoding_that_does_not_fit_is_refused_with_the_line() -> None:
    with pytest.raises(FileError, match="Line 3 of the file is not cp1252"):
        decoded(b"to\r\n1\r\n\x81\r\n", "cp1252")
    with pytest.raises(FileError, match="Line 2 of the file is UTF-8"):
        decoded("to,name\n1,é\n".encode(), "cp1252")
    with pytest.raises(FileError, match="Line 1 of the file is not utf-16"):
        decoded(b"\xff\xfet\0o", None)


@pytest.mark.parametrize("name", ["utf8", "UTF-8", "utf_8_sig", "U8"])
def test_utf_8_may_be_named(name: str) -> None:
    assert decoded(b"\xef\xbb\xbfto\n\xc3\xab", name) == "to\n\xeb"


@pytest.mark.parametrize("name", ["klingon", "base64", "rot13", "hex", "", "é", "\udcff", "x" * 99])
def test_an_unknown_encoding_is_refused(name: str) -> None:
    with pytest.raises(FileError, match="is not an encoding of text"):
        decoded(b"to", name)


@pytest.mark.parametrize("name", ["idna", "punycode", "undefined", "utf-7", "unicode_escape"])
def test_an_unusual_codec_never_fails_otherwise(name: str) -> None:
    with pytest.raises(FileError):
        decoded(rb"to,\ud800 +2AA- \N{" + b"\xff" * 100, name)


def test_the_error_shows_no_control_characters(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"to,name\n+1,\x1b[31m\xe9\x07\n")
    with pytest.raises(FileError) as wrong:
        read(tmp_path / "a.csv", ReadOptions())
    assert str(wrong.value).isprintable()
