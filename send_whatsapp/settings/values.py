"""What the value of a setting must be: one `Check` for each kind of value."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import phonenumbers
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


class _Wrong(Exception):
    """A value is wrong. The message completes "CGB_TIMEOUT ..." and never repeats the value."""


@dataclass(frozen=True)
class Check:
    """Metadata of an `Annotated` type: checks the text of a variable before pydantic reads it.

    `must_be` completes "CGB_TIMEOUT must be ..." in error messages, and says in docs/settings.md
    which values are allowed. `read` returns what pydantic gets, or None if the text is wrong.
    """

    must_be: str
    read: Callable[[str], str | int | None]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Put this check in front of pydantic's own schema of the type."""
        return core_schema.no_info_before_validator_function(self._checked, handler(source))

    def _checked(self, text: str) -> str | int:
        try:
            value = self.read(text)
        except _Wrong as error:
            raise _problem(str(error)) from None
        if value is None:
            raise _problem(f"must be {self.must_be}")
        return value


def _problem(sentence: str) -> PydanticCustomError:
    return PydanticCustomError("setting", "{sentence}", {"sentence": sentence})


def whole_number(minimum: int, maximum: int) -> Check:
    """Return the check of a whole number from `minimum` to `maximum`."""

    def read(text: str) -> int | None:
        digits = text.strip(" ")
        number = int(digits) if re.fullmatch(r"[0-9]{1,9}", digits, re.ASCII) else -1
        return number if minimum <= number <= maximum else None

    return Check(f"a whole number from {minimum} to {maximum}", read)


def _read_http_url(text: str) -> str | None:
    parts = _split(text)
    if parts is None or parts.scheme not in ("http", "https") or not text.isprintable():
        return None
    if " " in text or not text.isascii():
        raise _Wrong("must not contain spaces or non-ASCII characters")
    if "?" in text or "#" in text:
        raise _Wrong("must not have a query or a fragment")
    return text.rstrip("/")


def _split(text: str) -> SplitResult | None:
    """Return the parts of a URL; None if it has no host or no valid port."""
    try:
        parts = urlsplit(text)
        return parts if parts.hostname and parts.port != 0 else None
    except ValueError:
        return None


def _read_url_without_credentials(text: str) -> str | None:
    url = _read_http_url(text)
    if url and "@" in urlsplit(url).netloc:
        raise _Wrong("must not contain a user name or password")
    return url


def _is_plain(text: str) -> bool:
    return all("!" <= character <= "~" for character in text)


def _read_host_port(text: str) -> str | None:
    host, _, port = text.rpartition(":")
    valid = host and re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) and int(port) <= 65_535
    return text if valid else None


def _read_address(text: str) -> str | None:
    host = text.rpartition(":")[0]
    named = re.fullmatch(r"[A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\]", host, re.ASCII)
    return _read_host_port(text) if named else None


def _read_flow_id(text: str) -> str | None:
    digits = text.strip()
    return digits if re.fullmatch(r"[1-9][0-9]{0,29}", digits, re.ASCII) else None


HTTP_URL = Check("an http or https URL", _read_http_url)
HTTP_URL_WITHOUT_CREDENTIALS = Check("an http or https URL", _read_url_without_credentials)
OPTIONAL_URL = Check(
    "an http or https URL, or empty", lambda text: text and _read_url_without_credentials(text)
)
PLAIN_TEXT = Check(
    "printable ASCII characters without spaces", lambda text: text if _is_plain(text) else None
)
NAME = Check("1 to 200 characters", lambda text: text if len(text) <= 200 else None)
TAG = Check(
    "1 to 100 printable characters",
    lambda text: text.strip() if text.strip() and text.isprintable() and len(text) <= 100 else None,
)
REGION = Check(
    "a region with two upper-case letters (ISO 3166)",
    lambda text: text if text in phonenumbers.SUPPORTED_REGIONS else None,
)
FLOW_ID = Check("a flow id (digits)", _read_flow_id)
HOST_PORT = Check("host:port", _read_host_port)
ADDRESS = Check("host:port", _read_address)
EXISTING_FILE = Check(
    "the path of an existing file", lambda text: text if Path(text).is_file() else None
)
