"""Decodes text files: UTF-8, UTF-16 with a byte order mark, or the encoding that the caller names.

Other encodings are never guessed: a wrong guess sends people wrong words. The error shows how
likely ones read the first doubtful line, and the caller chooses.
"""

import codecs
import re
import unicodedata
from typing import Final

from charset_normalizer import from_bytes

from send_whatsapp.client.recipients.cells import FileError, printable

_CANDIDATES: Final = [
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp874"),
    *("cp932", "gb18030", "big5", "cp949", "koi8_r", "mac_roman", "cp850", "iso8859_2"),
]
"""Encodings in which spreadsheets write CSV."""

_MAX_READINGS = 4
_SAMPLE_BYTES = 20_000
_SHOWN_BEFORE, _SHOWN_AFTER = 16, 32
"""Bytes of the doubtful line that an error shows, before and after the first doubtful one."""

_LINE_END = re.compile(rb"\r\n|\n|\r")


def decoded(data: bytes, encoding: str | None) -> str:
    """Return the text of a file, without a byte order mark. Raises FileError.

    `encoding` is the name of a Python codec; None: UTF-8, or UTF-16 with a byte order mark.
    """
    name = _codec(encoding) if encoding is not None else "utf-8"
    if encoding is None and data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        name = "utf-16"
    text = _utf8(data) if name == "utf-8" else _other(data, name)
    if "\0" in text:
        raise FileError(_zero_bytes(data, text))
    return text.removeprefix("\ufeff")


def _codec(encoding: str) -> str:
    try:
        codec = codecs.lookup(encoding)
    except (LookupError, ValueError):
        codec = None
    # Codecs such as base64 do not turn bytes into text.
    if codec is None or not getattr(codec, "_is_text_encoding", True):
        raise FileError(
            f"--encoding {encoding!a} is not an encoding of text: use a name such as cp1252,"
            " cp1255, iso8859-2, koi8-r, shift_jis, gb18030 or utf-16"
        )
    return "utf-8" if codec.name == "utf-8-sig" else codec.name


def _utf8(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        number, line, start = _line_at(data, error.start)
    readings = "; ".join(_readings(data, line, start))
    mixed = ""
    if utf8_line := _utf8_line(data):
        mixed = (
            f". Line {utf8_line} is UTF-8, so the file may mix two encodings; then no --encoding"
            " reads it correctly"
        )
    raise FileError(
        f"Line {number} of the file is not UTF-8: {readings}. Save the file as UTF-8, or name its"
        f" encoding with --encoding{mixed}"
    )


def _other(data: bytes, name: str) -> str:
    try:
        text = data.decode(name)
        text.encode()
    except UnicodeDecodeError as error:
        number, _, _ = _line_at(data, error.start)
        raise FileError(
            f"Line {number} of the file is not {name}: save the file as UTF-8, or add another"
            " --encoding"
        ) from None
    except Exception:  # codecs such as idna raise errors of other types
        raise FileError(
            f"The file is not {name}: save it as UTF-8, or add another --encoding"
        ) from None
    if _has_one_byte_per_character(name) and (number := _utf8_line(data) or 0):
        raise FileError(
            f"Line {number} of the file is UTF-8, and {name} would turn its letters into others:"
            " leave out --encoding, or, if other lines are not UTF-8, save the file as UTF-8"
        )
    return text


def _has_one_byte_per_character(name: str) -> bool:
    # In other encodings, short texts are often valid UTF-8 by chance.
    return len(bytes(range(256)).decode(name, errors="replace")) == 256


def _readings(data: bytes, line: bytes, start: int) -> list[str]:
    """Return how cp1252 and the likeliest other encodings read the doubtful part of a line."""
    shown = line[max(0, start - _SHOWN_BEFORE) : start + _SHOWN_AFTER]
    readings: dict[str, str] = {}
    for name in ["cp1252", *_likely(data)]:
        # The part of the line may begin or end inside a character.
        reading = printable(shown.decode(name, errors="replace"))
        readings.setdefault(reading, name)
        if len(readings) == _MAX_READINGS:
            break
    return [f'as {name} it reads "{reading}"' for reading, name in readings.items()]


def _likely(data: bytes) -> list[str]:
    """Return the encodings that can read the file, the likeliest first."""
    parts = [part for part in _LINE_END.split(data) if not _is_utf8(part)]
    sample = b"\n".join(parts)[:_SAMPLE_BYTES]
    ranked = [match.encoding for match in from_bytes(sample, cp_isolation=_CANDIDATES)]
    names = [*ranked, *(name for name in _CANDIDATES if name not in ranked)]
    # Few words are too little for the ranking, but their letters tell something. Almost any two
    # bytes are a Chinese character.
    return sorted(
        (name for name in names if _reads(data, name)),
        key=lambda name: (
            _oddities(sample.decode(name, errors="replace")),
            not _has_one_byte_per_character(name),
        ),
    )


def _oddities(text: str) -> int:
    """Return how often letters of a text stand where people do not write them."""
    count = 0
    before = " "
    for letter in text:
        if not letter.isascii():
            begins = not before.isalpha()
            count += not letter.isalpha()
            count += letter.islower() if begins else letter.isupper() and before.islower()
            count += not begins and not before.isascii() and _script(letter) != _script(before)
        before = letter
    return count


def _script(letter: str) -> str:
    return unicodedata.name(letter, "").split(" ")[0]


def _reads(data: bytes, name: str) -> bool:
    try:
        data.decode(name)
    except UnicodeDecodeError:
        return False
    return True


def _is_utf8(line: bytes) -> bool:
    return _reads(line, "utf-8")


def _utf8_line(data: bytes) -> int | None:
    """Return the number of the first line with UTF-8 that is not ASCII."""
    lines = enumerate(_LINE_END.split(data), 1)
    return next((n for n, line in lines if not line.isascii() and _is_utf8(line)), None)


def _line_at(data: bytes, position: int) -> tuple[int, bytes, int]:
    """Return the number of the line with this byte, the line, and where in it the byte is."""
    begin = 0
    number = 1
    for end in _LINE_END.finditer(data):
        if end.end() > position:
            return number, data[begin : end.start()], position - begin
        begin = end.end()
        number += 1
    return number, data[begin:], position - begin


def _zero_bytes(data: bytes, text: str) -> str:
    number = len(re.findall(r"\r\n|\n|\r", text[: text.index("\0")])) + 1
    if data[:2].count(0) == 1:
        name = "utf-16-be" if data[0] == 0 else "utf-16-le"
        return (
            "The file seems to be UTF-16 without a byte order mark: save it as UTF-8, or add"
            f" --encoding {name}"
        )
    return f"Line {number} of the file has a zero byte, so it is not text: save it as UTF-8"
