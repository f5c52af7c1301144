"""Who may call the gateway, and how often: named bearer tokens, rotated in place, and a rate."""

import hmac
import ipaddress
import logging
import math
import time
from pathlib import Path

from send_whatsapp.settings import GatewaySettings, SettingsError

logger = logging.getLogger(__name__)

READ_AGAIN_AFTER_S = 5.0
ANYBODY = "anybody"


class Tokens:
    """Who may send; without tokens anybody on this machine may."""

    def __init__(self, fixed: dict[str, str], file: Path | None) -> None:
        """Use fixed tokens by name and those of a file; raises SettingsError for a bad file."""
        self._fixed = fixed
        self._file = file
        self._from_file = _read(file) if file else {}
        self._read_at = time.monotonic()

    @classmethod
    def of(cls, settings: GatewaySettings) -> "Tokens":
        """Return the tokens of these settings.

        Raises SettingsError where there are none and the gateway is not bound to loopback.
        """
        file = Path(settings.tokens_file) if settings.tokens_file else None
        tokens = cls(parse(settings.tokens.get_secret_value().split(",")), file)
        if not tokens._all() and not _is_loopback(settings.bind):
            raise SettingsError(
                "GATEWAY_TOKENS is not set, and GATEWAY_BIND is not this machine alone; for example"
                " GATEWAY_TOKENS=crm:a-long-random-token"
            )
        return tokens

    def name_of(self, authorization: list[bytes]) -> str | None:
        """Return the name of the bearer token in these headers; None where it is not valid."""
        self._read_again()
        known = self._all()
        if not known and self._file is None:
            return ANYBODY
        if len(authorization) != 1:
            return None
        scheme, _, given = authorization[0].partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        # Every token is compared, so that the time says nothing of which one is near.
        matches = [
            name
            for name, token in known.items()
            if hmac.compare_digest(token.encode(), given.strip())
        ]
        return matches[0] if matches else None

    def _all(self) -> dict[str, str]:
        return self._fixed | self._from_file

    def _read_again(self) -> None:
        if self._file is None or time.monotonic() - self._read_at < READ_AGAIN_AFTER_S:
            return
        self._read_at = time.monotonic()
        try:
            self._from_file = _read(self._file)
        except SettingsError as error:
            logger.error("the tokens stay as they were: %s", error)


class Rates:
    """A bucket of requests for each caller: full at first, filled again evenly over a minute."""

    def __init__(self, per_minute: int | None) -> None:
        """Allow each caller so many requests a minute; None: no limit."""
        self._size = per_minute
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait_of(self, caller: str) -> int:
        """Take one request of a caller; return 0, or after how many seconds it may be taken."""
        if self._size is None:
            return 0
        now = time.monotonic()
        left, at = self._buckets.get(caller, (float(self._size), now))
        left = min(left + (now - at) * self._size / 60, float(self._size))
        if left < 1:
            self._buckets[caller] = left, now
            return math.ceil((1 - left) * 60 / self._size)
        self._buckets[caller] = left - 1, now
        return 0


def parse(entries: list[str], variable: str = "GATEWAY_TOKENS") -> dict[str, str]:
    """Return tokens by name from `name:token` entries; raises SettingsError for a bad one."""
    found: dict[str, str] = {}
    for entry in (e.strip() for e in entries):
        if not entry or entry.startswith("#"):
            continue
        name, colon, token = entry.partition(":")
        if not colon or not name or not token.isascii() or not token or name in found:
            example = "GATEWAY_TOKENS=crm:a-long-random-token,shop:another-one"
            raise SettingsError(
                f"{variable} has an entry that is no name:token, or a name twice; for example"
                f" {example if variable == 'GATEWAY_TOKENS' else 'a line crm:a-long-random-token'}"
            )
        found[name] = token.strip()
    return found


def _read(file: Path) -> dict[str, str]:
    try:
        return parse(file.read_text().splitlines(), "GATEWAY_TOKENS_FILE")
    except (OSError, UnicodeDecodeError):
        raise SettingsError(
            "GATEWAY_TOKENS_FILE cannot be read; for example GATEWAY_TOKENS_FILE=tokens.txt"
        ) from None


def _is_loopback(bind: str) -> bool:
    host = bind.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
