"""Who may call the gateway: named bearer tokens, which can be replaced while it runs."""

import hmac
import ipaddress
import logging
import time
from pathlib import Path

from send_whatsapp.gateway import time_limits
from send_whatsapp.settings import GatewaySettings, SettingsError

logger = logging.getLogger(__name__)

ANYBODY = "anybody"
"""Name of every caller of a gateway without tokens."""


class Tokens:
    """The tokens of the settings and of the tokens file; without any, everybody may call."""

    def __init__(self, fixed: dict[str, str], file: Path | None) -> None:
        """Accept `fixed` tokens by name and those of `file`. Raises SettingsError for the file."""
        self._fixed = fixed
        self._file = file
        self._from_file = _read(file) if file else {}
        self._read_at = time.monotonic()

    @classmethod
    def from_settings(cls, settings: GatewaySettings) -> "Tokens":
        """Return the tokens of these settings.

        Raises SettingsError if there are no tokens but other machines can connect.
        """
        file = Path(settings.tokens_file) if settings.tokens_file else None
        tokens = cls(parse_tokens(settings.tokens.get_secret_value().split(",")), file)
        if not tokens._all() and not _is_loopback(settings.bind):
            raise SettingsError(
                "GATEWAY_TOKENS is not set, and GATEWAY_BIND is not a loopback address; for example"
                " GATEWAY_TOKENS=crm:a-long-random-token"
            )
        return tokens

    def caller(self, authorization: list[bytes]) -> str | None:
        """Return the name of the token in these `Authorization` headers; None if it is invalid."""
        self._refresh()
        known = self._all()
        if not known and self._file is None:
            return ANYBODY
        if len(authorization) != 1:
            return None
        scheme, _, given = authorization[0].partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        # Compare with every token, so that the time does not reveal which one is similar.
        matches = [
            name
            for name, token in known.items()
            if hmac.compare_digest(token.encode(), given.strip())
        ]
        return matches[0] if matches else None

    def _all(self) -> dict[str, str]:
        return self._fixed | self._from_file

    def _refresh(self) -> None:
        age = time.monotonic() - self._read_at
        if self._file is None or age < time_limits.TOKENS_FILE_CHECK_S:
            return
        self._read_at = time.monotonic()
        try:
            self._from_file = _read(self._file)
        except SettingsError as error:
            logger.error("keeping the previous tokens: %s", error)


def parse_tokens(entries: list[str], variable: str = "GATEWAY_TOKENS") -> dict[str, str]:
    """Return tokens by name from `name:token` entries. Raises SettingsError for a wrong entry."""
    tokens: dict[str, str] = {}
    for entry in (e.strip() for e in entries):
        if not entry or entry.startswith("#"):
            continue
        name, colon, token = entry.partition(":")
        if not colon or not name or not token.isascii() or not token or name in tokens:
            example = "GATEWAY_TOKENS=crm:a-long-random-token,shop:another-one"
            raise SettingsError(
                f"{variable} must contain name:token entries in ASCII, each name once; for example"
                f" {example if variable == 'GATEWAY_TOKENS' else 'a line crm:a-long-random-token'}"
            )
        tokens[name] = token.strip()
    return tokens


def _read(file: Path) -> dict[str, str]:
    try:
        return parse_tokens(file.read_text().splitlines(), "GATEWAY_TOKENS_FILE")
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
