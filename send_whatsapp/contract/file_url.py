"""File URLs: checks from its text alone, without DNS, that a URL names a public host."""

import ipaddress
import re
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

MAX_LENGTH = 2048

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PRIVATE_SUFFIXES = ("localhost", "local", "internal", "home.arpa")

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
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").removesuffix(".")
    except ValueError:
        raise InvalidFileUrl("has an invalid host or port") from None
    if parts.scheme not in ("http", "https") or not url[len(parts.scheme) :].startswith("://"):
        raise InvalidFileUrl("does not start with http:// or https://")
    if "@" in parts.netloc:
        raise InvalidFileUrl("contains credentials")
    if not host or port == 0:
        raise InvalidFileUrl("has no host, or port 0")
    _check_host(host, bracketed="[" in parts.netloc)
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


def _check_host(host: str, *, bracketed: bool) -> None:
    if bracketed:
        try:
            address = ipaddress.IPv6Address(host)
        except ValueError:
            raise InvalidFileUrl("has an invalid host or port") from None
        teredo = address.teredo[1] if address.teredo else None
        embedded = address.ipv4_mapped or address.sixtofour or teredo
        nat64 = address in ipaddress.IPv6Network("64:ff9b::/96")
        if not _public(address) or nat64 or (embedded and not _public(embedded)):
            raise InvalidFileUrl("names an address that is not public")
        return
    if not host.isascii():
        raise InvalidFileUrl("has a host with non-ASCII letters (use its xn-- form)")
    labels = host.split(".")
    if _NUMBER_LABEL.fullmatch(labels[-1]):
        # WHATWG and inet_aton read a host that ends in a number as an IPv4 address (127.1).
        try:
            public = _public(ipaddress.IPv4Address(host))
        except ValueError:
            raise InvalidFileUrl("writes an IP address in an unusual notation") from None
        if not public:
            raise InvalidFileUrl("names an address that is not public")
        return
    if len(labels) < 2 or any(host == s or host.endswith(f".{s}") for s in _PRIVATE_SUFFIXES):
        raise InvalidFileUrl("names a host that is not public")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise InvalidFileUrl("has an invalid host or port")


def _public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    # `is_global` is also true for multicast addresses.
    return address.is_global and not address.is_multicast
