"""What may be shown of the provider's own words: no key, number, message text or URL."""

import re
import unicodedata
from collections.abc import Iterable

from activities.decoding import decoded

WITHHELD = "(withheld, since it may repeat private data)"

_MAX_EXAMINED = 2000
_MAX_SHOWN = 200

_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://\S*|\bwww\.\S+", re.IGNORECASE)
# Spaces, dots, dashes or brackets between the digits of a number do not hide it.
_NUMBER = re.compile(r"\+?\d(?:[\s().\u00a0-]{0,3}\d){6,}")
# Nor do other characters between short groups, unlike those in "error 131047: 24 hours".
_GROUPS = re.compile(r"(?<!\d)\d{1,4}(?:[\W_]{1,5}\d{1,4})+(?!\d)")

_SHARED_CHARACTERS, _SHARED_LETTERS = 12, 10
"""A message that shares so many characters, or letters and digits, in a row with a private text
repeats it."""

_SHORT = 4
"""A shorter text is not searched between letters, where it would be found by accident."""

_MASK = "\0"


def redact(message: str, private: Iterable[str], *, mask: bool = True) -> str:
    """Return the provider's message without URLs, numbers and private texts, cut to 200 characters.

    A message that repeats a private text in another form is withheld as a whole: a part of a long
    one, one in other letters or with other separators, reversed, escaped, or encoded. Without
    `mask`, any message that repeats something private is withheld.
    """
    message = _printable(message[:_MAX_EXAMINED])
    letters = _letters(message)
    secrets = {secret: _letters(secret) for p in private if (secret := _printable(p).strip())}
    masked = message
    for secret in sorted(secrets, key=len, reverse=True):
        if secrets[secret] in letters:
            masked = _pattern(secret).sub(_mask, masked)
    masked = _URL.sub(_mask, masked)
    if _repeats(masked, decoded(message), secrets):
        return WITHHELD
    masked = _NUMBER.sub(_mask, masked)
    masked = _GROUPS.sub(lambda found: _mask(found) if _is_number(found[0]) else found[0], masked)
    if not mask and _MASK in masked:
        return WITHHELD
    # A private text that was cut off at the end of the examined part is not shown.
    shown = re.sub(f"{_MASK}+", "…", masked[: _MAX_EXAMINED // 2])
    shown = " ".join(shown.split())
    return shown if len(shown) <= _MAX_SHOWN else shown[: _MAX_SHOWN - 1] + "…"


def _repeats(masked: str, forms: set[str], secrets: dict[str, str]) -> bool:
    """Return whether the masked message or one of its decoded forms repeats a private text.

    `secrets` are the private texts with their letters.
    """
    if any(_NUMBER.search(form) for form in forms):
        return True
    texts = (masked, *forms)
    plain = [_one_case(text) for text in texts]
    orders = (*texts, *map(_reversed_words, texts), *(text[::-1] for text in texts))
    in_letters = [_letters(text) for text in orders]
    all_letters, symbols = "\0".join(in_letters), "\0".join(plain[1:]).replace(" ", "")
    if any(
        letters in all_letters
        if len(letters) >= _SHORT
        else _one_case(secret).replace(" ", "") in symbols
        for secret, letters in secrets.items()
    ):
        return True
    return _share_a_part(plain, map(_one_case, secrets), _SHARED_CHARACTERS) or _share_a_part(
        in_letters, secrets.values(), _SHARED_LETTERS
    )


def _share_a_part(texts: Iterable[str], secrets: Iterable[str], length: int) -> bool:
    parts = {text[i : i + length] for text in texts for i in range(len(text) - length + 1)}
    return any(
        secret[i : i + length] in parts
        for secret in secrets
        for i in range(len(secret) - length + 1)
    )


def _pattern(secret: str) -> re.Pattern[str]:
    digits = re.sub(r"[\W_]", "", secret)
    if digits.isdecimal():
        return re.compile(r"\+?" + r"[\W_]{0,5}".join(digits))
    if len(secret) >= _SHORT:
        return re.compile(r"\s+".join(map(re.escape, secret.split())), re.IGNORECASE)
    apart = r"[\W_]{0,3}".join(map(re.escape, secret))
    return re.compile(rf"{re.escape(secret)}|(?i:\b{apart}\b)")


def _mask(found: re.Match[str]) -> str:
    # As long as what it hides, so that positions stay.
    return _MASK * len(found[0])


def _is_number(text: str) -> bool:
    return sum(c.isdigit() for c in text) >= 7


def _one_case(text: str) -> str:
    return " ".join(text.casefold().split())


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _letters(text: str) -> str:
    """Return the letters and digits alone, in lower case, without accents and other variants."""
    text = unicodedata.normalize("NFKD", text.upper()).casefold()
    if not text.isascii():
        text = "".join(str(unicodedata.decimal(c, c)) for c in text)
    return re.sub(r"[\W_]+", "", text)


def _reversed_words(text: str) -> str:
    return " ".join(reversed(text.split()))
