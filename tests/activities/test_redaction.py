"""The provider's own words: what is shown of them, and which echoes of private data are not."""

import base64
import html
import json
import re
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from activities.redaction import WITHHELD, redact

KEY, PHONE, CONTACT = "canary-key-123", "+1234567890", "contact_77ab"
TEXT = "The canary sings at midnight"
NAME, URL = "Zoë Müller", "https://files.example.com/visa/4711.pdf?sig=a%2Bb"
ARABIC, EMOJI = "طلبك جاهز للاستلام", "🐤🎶🌙"
PRIVATE = (KEY, PHONE, PHONE[1:], CONTACT, TEXT, NAME, URL, ARABIC, EMOJI)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("number +1 (234) 567-890 is bad", "number … is bad"),
        ("number 1-2-3-4-5-6-7-8-9-0 is bad", "number … is bad"),
        ("number 12/34/56/78/90 is bad", "number … is bad"),
        ("number 1 -- 2 -- 3 -- 4 -- 5 -- 6 -- 7 is bad", "number … is bad"),
        ("number 123\u2013456\u20137890 is bad", "number … is bad"),
        ("number \uff11\uff12\uff13\uff14\uff15\uff16\uff17 is bad", "number … is bad"),
        ("number 0987654321 is bad", WITHHELD),
        ("see https://example.com/help?key=1 now", "see … now"),
        ("see www.example.com now", "see … now"),
        (f"key {KEY} is wrong", "key … is wrong"),
        (f"key {KEY.upper()} is wrong", "key … is wrong"),
        (f"cannot send {TEXT}", "cannot send …"),
        ("cannot send " + TEXT.replace(" ", " \n "), "cannot send …"),
        (f"no {NAME} and no {EMOJI}", "no … and no …"),
        ("cannot send the CANARY SINGS", WITHHELD),
        ("two\nlines\x00", "two lines"),
        ("x" * 300, "x" * 199 + "…"),
        ("contact 1234567 gone", "contact … gone"),
        (" " * 1990 + PHONE, ""),
        ("wrong" + " " * 1990 + PHONE, "wrong"),
    ],
)
def test_the_providers_message_is_redacted(words: str, shown: str) -> None:
    assert redact(words, PRIVATE) == shown


@pytest.mark.parametrize(
    "words",
    [
        "code 131047",
        "Error 131047: 24 hours have passed since the customer last replied",
        "(#100) Invalid parameter",
        "HTTP 400 (#131009) Parameter value is not valid, subcode 2494010",
        "(#132000) Number of parameters does not match the expected number of params",
        "WHATSAPP_TEMPLATE_PARAMETER_FORMAT_MISMATCH",
        "template visa_approved: 3 of 10 variables are missing (50% &amp; more)",
        "No valid API key provided.",
        "request failed, trace AzEFcNxEnQNxHTtS4rMFvn2",
        "Le numéro est incorrect, veuillez réessayer",
    ],
)
def test_what_went_wrong_stays_readable(words: str) -> None:
    assert redact(words, PRIVATE) == words.replace("2494010", "…")


def base64_at(start: int) -> Callable[[str], str]:
    return lambda text: base64.b64encode(b"x" * start + text.encode()).decode()


def units(text: str) -> list[str]:
    """Return the units of UTF-16, with 4 hex digits each."""
    return re.findall("....", text.encode("utf-16-be").hex())


def separated(separator: str) -> Callable[[str], str]:
    return separator.join


ENCODINGS: dict[str, Callable[[str], str]] = {
    "percent": lambda text: quote(text, safe=""),
    "every character percent": lambda text: "".join(f"%{b:02X}" for b in text.encode()),
    "percent in lower case": lambda text: "".join(f"%{b:02x}" for b in text.encode()),
    "percent twice": lambda text: quote(quote(text, safe="").replace("a", "%61"), safe=""),
    "percent as a form": lambda text: quote(text, safe="").replace("%20", "+"),
    "base64": base64_at(0),
    "base64 one later": base64_at(1),
    "base64 two later": base64_at(2),
    "base64 without padding": lambda text: base64_at(0)(text).rstrip("="),
    "base64 after letters": lambda text: "abc" + base64_at(0)(text),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 on lines": lambda text: "\n".join(re.findall(".{1,9}", base64_at(0)(text))),
    "base64 of UTF-16": lambda text: base64.b64encode(text.encode("utf-16-le")).decode(),
    "base64 twice": lambda text: base64_at(1)(base64_at(2)(text)),
    "hex": lambda text: text.encode().hex(),
    "hex in upper case": lambda text: text.encode().hex().upper(),
    "hex with separators": lambda text: text.encode().hex(" "),
    "hex with colons": lambda text: text.encode().hex(":"),
    "hex with marks": lambda text: ", ".join(f"0x{b:02x}" for b in text.encode()),
    "hex after a letter": lambda text: "f" + text.encode().hex(),
    "bytes of Python": lambda text: "".join(f"\\x{b:02x}" for b in text.encode()),
    "octal": lambda text: "".join(f"\\{b:03o}" for b in text.encode()),
    "JSON": lambda text: "".join(f"\\u{unit}" for unit in units(text)),
    "JSON as needed": json.dumps,
    "JSON twice": lambda text: json.dumps(json.dumps(text)),
    "JSON without backslashes": lambda text: "".join(f"u{unit}" for unit in units(text)),
    "code points": lambda text: " ".join(f"U+{ord(c):04X}" for c in text),
    "JavaScript": lambda text: "".join(f"\\u{{{ord(c):x}}}" for c in text),
    "HTML": lambda text: html.escape(text).replace("a", "&#97;"),
    "HTML decimal": lambda text: "".join(f"&#{ord(c)};" for c in text),
    "HTML hex": lambda text: "".join(f"&#x{ord(c):X};" for c in text),
    "HTML twice": lambda text: "".join(f"&amp;#{ord(c)};" for c in text),
    "HTML tags": lambda text: "<b>" + "</b><i>".join(text) + "</i>",
    "quoted-printable": lambda text: "".join(f"={b:02X}" for b in text.encode()),
    "dashes": separated("-"),
    "spaces": separated(" "),
    "dots": separated("."),
    "underscores": separated("_"),
    "zero-width spaces": separated("\u200b"),
    "many separators": separated(" * - * "),
    "other white space": lambda text: "\t\n".join(text.split(" ")),
    "no white space": lambda text: "".join(text.split()),
    "reversed": lambda text: text[::-1],
    "words reversed": lambda text: " ".join(reversed(text.split())),
    "upper case": str.upper,
    "full width": lambda text: "".join(
        chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text
    ),
    "without accents": lambda text: text.replace("ë", "e").replace("ü", "u"),
    "JSON in base64": lambda text: base64_at(1)(json.dumps({"to": text})),
    "base64 in percent": lambda text: quote(base64_at(0)(text), safe=""),
    "hex of base64": lambda text: base64_at(0)(text).encode().hex(),
}
# Without letters and digits, nothing is left that could be compared.
LETTERS_ONLY = {
    *("dashes", "spaces", "dots", "underscores", "zero-width spaces", "many separators"),
    *("HTML tags", "reversed"),
}
LATIN_ONLY = {"base64 of UTF-16"}
ECHOES = [
    (encoding, secret)
    for encoding in ENCODINGS
    for secret in PRIVATE
    if not (secret == EMOJI and encoding in LETTERS_ONLY)
    if not (secret in (EMOJI, ARABIC) and encoding in LATIN_ONLY)
]


def shows_nothing_of_the_echo(shown: str) -> bool:
    return shown == WITHHELD or re.findall(r"[^\W_]+", shown) in (
        ["cannot", "send", "now"],
        ["cannot"],
    )


@pytest.mark.parametrize(("encoding", "secret"), ECHOES)
def test_an_encoded_echo_of_private_data_is_not_shown(encoding: str, secret: str) -> None:
    echo = ENCODINGS[encoding](secret)
    for message in (f"cannot send {echo} now", f"cannot send ({echo}), now", f"cannot\n{echo}"):
        assert shows_nothing_of_the_echo(redact(message, PRIVATE))


letters = st.text(st.characters(categories=["Lu", "Ll", "Lo", "Nd"]), min_size=5, max_size=40)
phrases = st.lists(letters, min_size=1, max_size=5).map(" ".join)


@given(phrases, st.sampled_from(list(ENCODINGS)), st.sampled_from(["", "a", "ab", "abc", "id="]))
def test_any_text_is_recognized_in_any_encoding(text: str, encoding: str, before: str) -> None:
    assume(text.isascii() or encoding not in LATIN_ONLY)
    # Letters before encoded bytes change their alignment.
    before = before if encoding.startswith(("base64", "hex")) else ""
    echo = ENCODINGS[encoding](text)
    shown = redact(f"cannot send {before}{echo} now", [text])
    assert shown == WITHHELD or re.findall(r"[^\W_]+", shown) in (
        ["cannot", "send", "now"],
        ["cannot", "send", before.strip("="), "now"],
        ["cannot", "send"],
    )


@given(st.text(max_size=3000), st.lists(st.text(max_size=100), max_size=5))
def test_any_message_is_redacted_to_one_short_line(message: str, private: list[str]) -> None:
    shown = redact(message, private)
    assert len(shown) <= 200
    assert shown.isprintable()


@pytest.mark.parametrize("secret", ["Ann", "李明", "김민수", "好"])
@pytest.mark.parametrize(
    "encoding", ["percent", "base64", "hex", "HTML decimal", "JSON without backslashes"]
)
def test_a_short_value_is_recognized_if_it_is_encoded(secret: str, encoding: str) -> None:
    echo = ENCODINGS[encoding](secret)
    assert shows_nothing_of_the_echo(redact(f"cannot send {echo} now", [secret]))


def test_a_short_value_is_recognized_between_separators_but_not_between_words() -> None:
    assert redact("cannot send A-n-n now", ["Ann"]) == "cannot send … now"
    assert redact("you cannot, can not send now", ["Ann"]) == "you cannot, can not send now"


def test_a_number_that_is_not_known_is_recognized_in_an_encoding() -> None:
    for encode in (ENCODINGS["base64"], ENCODINGS["HTML decimal"], ENCODINGS["percent twice"]):
        assert redact(f"cannot send {encode('+4915112345678')} now", []) == WITHHELD


@pytest.mark.parametrize(
    "message",
    [
        *("\\" * 100_000, "%25" * 50_000, "&amp;" * 50_000, "<" * 100_000, "1 " * 50_000),
        *("1" + " " * 100_000, "http://" * 20_000, "a." * 50_000, "QUJD" * 50_000, "41" * 50_000),
    ],
    ids=lambda message: message[:8],
)
def test_a_hostile_message_costs_little_time(message: str) -> None:
    # About 10 ms; a pattern that backtracks takes minutes.
    began = time.process_time()
    redact(message, PRIVATE)
    assert time.process_time() - began < 1
