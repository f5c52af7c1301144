"""Who may call the gateway: named bearer tokens, which can be replaced while it runs."""

import hmac
import ipaddress
from pathlib import Path

from send_whatsapp.gateway.watched_file import WatchedFile
from send_whatsapp.settings import GatewaySettings, SettingsError

ANYBODY = "anybody"
"""Name of every caller of a gateway without tokens."""

MIN_TOKEN_LENGTH = 16

_EXAMPLES = {
    "GATEWAY_TOKENS": "GATEWAY_TOKENS=crm:a-long-random-token,shop:another-long-token",
    "GATEWAY_TOKENS_FILE": "a line crm:a-long-random-token",
}


class Tokens:
    """The tokens of the settings and of the tokens file; without any, everybody may call."""

    def __init__(self, fixed: dict[str, str], file: Path | None) -> None:
        """Accept `fixed` tokens by name and those of `file`. Raises SettingsError for the file."""
        self._fixed = fixed
        self.file = WatchedFile(file, read_tokens) if file else None

    @classmethod
    def from_settings(cls, settings: GatewaySettings) -> "Tokens":
        """Return the tokens of these settings.

        Raises SettingsError if there are no tokens but other machines can connect.
        """
        file = Path(settings.tokens_file) if settings.tokens_file else None
        tokens = cls(parse_tokens(settings.tokens.get_secret_value().split(",")), file)
        if tokens.everybody_may_call and not _is_loopback(settings.bind):
            raise SettingsError(
                "GATEWAY_TOKENS is not set, and GATEWAY_BIND is not a loopback address; for example"
                " GATEWAY_TOKENS=crm:a-long-random-token"
            )
        return tokens

    @property
    def everybody_may_call(self) -> bool:
        """Whether the gateway was started without tokens; it never loses them while it runs."""
        return not self._fixed and self.file is None

    def caller(self, authorization: list[bytes]) -> str | None:
        """Return the name of the token in these `Authorization` headers; None if it is invalid."""
        if self.everybody_may_call:
            return ANYBODY
        if len(authorization) != 1:
            return None
        scheme, _, given = authorization[0].partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        # Compare with every token, so that the time does not reveal which one is similar.
        matches = [
            name
            for name, token in self._all().items()
            if hmac.compare_digest(token.encode(), given.strip())
        ]
        return matches[0] if matches else None

    def _all(self) -> dict[str, str]:
        return self._fixed | ((self.file.content if self.file else None) or {})


def parse_tokens(entries: list[str], variable: str = "GATEWAY_TOKENS") -> dict[str, str]:
    """Return tokens by name from `name:token` entries. Raises SettingsError for a wrong entry."""
    tokens: dict[str, str] = {}
    for entry in (e.strip() for e in entries):
        if not entry or entry.startswith("#"):
            continue
        name, colon, token = entry.partition(":")
        token = token.strip()
        if not colon or not name or not token or not token.isascii() or name in tokens:
            raise _wrong(variable, "must contain name:token entries in ASCII, each name once")
        if len(token) < MIN_TOKEN_LENGTH:
            raise _wrong(
                variable,
                f"contains a token of fewer than {MIN_TOKEN_LENGTH} characters, which can be"
                " guessed",
            )
        tokens[name] = token
    return tokens


def read_tokens(file: Path) -> dict[str, str]:
    """Return the tokens of a file by name. Raises SettingsError if it is wrong or has none."""
    variable = "GATEWAY_TOKENS_FILE"
    try:
        tokens = parse_tokens(file.read_text().splitlines(), variable)
    except (OSError, UnicodeDecodeError):
        raise SettingsError(
            f"{variable} cannot be read; for example {variable}=tokens.txt"
        ) from None
    if not tokens:
        raise _wrong(variable, "contains no name:token line")
    return tokens


def _wrong(variable: str, problem: str) -> SettingsError:
    return SettingsError(f"{variable} {problem}; for example {_EXAMPLES[variable]}")


def _is_loopback(bind: str) -> bool:
    host = bind.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
