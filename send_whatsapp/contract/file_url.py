"""File URLs: checks from its text alone, without DNS, that a URL names a public host."""

import re
from ipaddress import IPv4Address, IPv6Address
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from send_whatsapp.contract.public_address import is_public, is_public_name

MAX_LENGTH = 2048

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
# RFC 3986, but without credentials. `urlsplit` reads some hosts differently after a patch release.
_URL = re.compile(r"https?://(?P<authority>[^/?#]*)", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:\[(?P<ipv6>[^\[\]]*)\]|(?P<host>[^\[\]:]*))(?::(?P<port>[0-9]*))?")

_EXTENSIONS = {
    "image": {".jpg", ".jpeg", ".png", ".webp", ".gif"},
    "video": {".mp4", ".3gp", ".3gpp", ".mov"},
    "audio": {".aac", ".amr", ".mp3", ".m4a", ".mpeg", ".oga", ".ogg", ".opus"},
}


class InvalidFileUrl(ValueError):
    """The provider cannot fetch this URL; the message says why, without the URL."""


def check_file_url(url: str) -> str:
    """Return the URL unchanged. Raises InvalidFileUrl unless it is http(s) and of a public host."""
    if len(url) > MAX_LENGTH:
        raise InvalidFileUrl(f"is longer than {MAX_LENGTH} characters")
    if any(c.isspace() or not c.isprintable() or c in '\\"<>^`{|}' for c in url):
        raise InvalidFileUrl(
            "contains a space, a control character or one that must be percent-encoded"
        )
    found = _URL.match(url)
    if found is None:
        raise InvalidFileUrl("does not start with http:// or https://")
    if "@" in found["authority"]:
        raise InvalidFileUrl("contains credentials")
    authority = _AUTHORITY.fullmatch(found["authority"])
    if authority is None:
        raise InvalidFileUrl("has an invalid host or port")
    if not found["authority"] or not 1 <= int(authority["port"] or 80) <= 65_535:
        raise InvalidFileUrl("has no host, or a port that is not between 1 and 65535")
    if authority["ipv6"] is not None:
        _check_ipv6(authority["ipv6"])
    else:
        _check_host(authority["host"])
    return url


def fits_type(url: str, file_type: str) -> bool:
    """Return whether the file extension fits the type; True if there is no extension."""
    suffix = PurePosixPath(unquote(urlsplit(url).path)).suffix.lower()
    known = _EXTENSIONS.get(file_type)
    if not suffix:
        return True
    if known is None:
        return not any(suffix in endings for endings in _EXTENSIONS.values())
    return suffix in known


def _check_ipv6(host: str) -> None:
    if "%" in host:
        raise InvalidFileUrl("has an address with a zone, which is not public")
    try:
        address = IPv6Address(host)
    except ValueError:
        raise InvalidFileUrl("has an invalid host or port") from None
    if not is_public(address):
        raise InvalidFileUrl("names an address that is not public")


def _check_host(host: str) -> None:
    if not host.isascii():
        raise InvalidFileUrl("has a host with non-ASCII letters (use its xn-- form)")
    host = host.lower().removesuffix(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise InvalidFileUrl("has an invalid host or port")
    # WHATWG and inet_aton read a host that ends in a number as an IPv4 address (127.1).
    if not _NUMBER_LABEL.fullmatch(host.rpartition(".")[2]):
        if not is_public_name(host):
            raise InvalidFileUrl("names a host that is not public")
        return
    try:
        address = IPv4Address(host)
    except ValueError:
        raise InvalidFileUrl("writes an IP address in an unusual notation") from None
    if not is_public(address):
        raise InvalidFileUrl("names an address that is not public")
