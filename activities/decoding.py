"""Encodings undone: what a message says if parts of it are escaped, Base64 or hexadecimal."""

import base64
import html
import re
from collections.abc import Callable, Iterator

_MAX_DEPTH = 3
"""An encoded text may contain another one, such as Base64 in a JSON string in HTML."""

_READABLE = re.compile(r"[ -~]{8,}")
"""Decoded bytes without such a part contain no encoded text."""

_BYTES = re.compile(r"(?:(?:%|\\x)[0-9a-fA-F]{2})+")
_QUOTED_PRINTABLE = re.compile(r"(?:=[0-9a-fA-F]{2})+")
_OCTAL = re.compile(r"(?:\\[0-3][0-7]{2})+")
_UNICODE = re.compile(
    r"[\\%]?[uU](?:000([0-9a-fA-F]{5})|\{([0-9a-fA-F]{1,8})\}|\+([0-9a-fA-F]{4,6})|([0-9a-fA-F]{4}))"
)
_WHITE_SPACE = re.compile(r"\\[nrtbfv]")
_TAG = re.compile(r"<[^<>]{1,200}>")
_HEX_MARK = re.compile(r"0x|\\x|[\W_]", re.IGNORECASE)
_HEX = re.compile(r"[0-9a-fA-F]{6,}")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{4,}")
_URL_SAFE = str.maketrans("-_", "+/")
# Bytes that are not UTF-8 are read as Latin-1.
_LATIN_1 = {0xDC00 + byte: byte for byte in range(0x80, 0x100)}


def decoded(message: str) -> set[str]:
    """Return the texts that the message may contain in encoded form, without the message itself.

    Most of them are gibberish, because every part is decoded that could be encoded.
    """
    # Text that was escaped several times has several backslashes in a row.
    message = re.sub(r"\\+", r"\\", message)
    found: set[str] = set()
    level = {message}
    for _ in range(_MAX_DEPTH):
        level = {text for form in level for decode in _DECODERS for text in decode(form)}
        level -= found | {message}
        found |= level
        level = {form for form in level if _READABLE.search(form)}
    return found


def _unescape(text: str) -> Iterator[str]:
    """Undo percent-encoding, HTML, and the escapes of JSON and of programming languages."""
    for source in (text, _TAG.sub(" ", text)):
        plain = _UNICODE.sub(_character, html.unescape(_WHITE_SPACE.sub(" ", source)))
        plain = plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        yield _OCTAL.sub(_octal_bytes, _BYTES.sub(_hex_bytes, plain))


def _unescape_quoted_printable(text: str) -> Iterator[str]:
    yield _QUOTED_PRINTABLE.sub(_hex_bytes, text)


def _from_base64(text: str) -> Iterator[str]:
    """Undo Base64, standard and URL-safe, with and without padding or line breaks.

    The encoded text may begin anywhere in a run of letters, so each of the 4 alignments is tried.
    """
    for source in {text, "".join(text.split()), re.sub(r"[^A-Za-z0-9+/]", "", text)}:
        runs = _BASE64.findall(source.translate(_URL_SAFE))
        for start in range(4):
            yield " ".join(_base64(run[start:]) for run in runs)


def _from_hex(text: str) -> Iterator[str]:
    runs = _HEX.findall(_HEX_MARK.sub("", text))
    for start in range(2):
        yield " ".join(
            _text(bytes.fromhex(run[start : len(run) - (len(run) - start) % 2])) for run in runs
        )


_DECODERS: tuple[Callable[[str], Iterator[str]], ...] = (
    _unescape,
    _unescape_quoted_printable,
    _from_base64,
    _from_hex,
)


def _character(found: re.Match[str]) -> str:
    code = int(next(filter(None, found.groups())), 16)
    return chr(code) if code <= 0x10FFFF else " "


def _hex_bytes(found: re.Match[str]) -> str:
    return _text(bytes.fromhex("".join(re.findall(r"[0-9a-fA-F]{2}", found[0]))))


def _octal_bytes(found: re.Match[str]) -> str:
    return _text(bytes(int(digits, 8) for digits in found[0].split("\\") if digits))


def _base64(run: str) -> str:
    # One letter more than a multiple of four encodes no byte.
    whole = run[:-1] if len(run) % 4 == 1 else run
    return _text(base64.b64decode(whole + "=" * (-len(whole) % 4)))


def _text(data: bytes) -> str:
    # Without zero bytes, so that Latin letters in UTF-16 are read too.
    return data.replace(b"\0", b"").decode("utf-8", "surrogateescape").translate(_LATIN_1)
