"""Who calls the gateway: bearer tokens of callers, which can be replaced while it runs."""

import hmac
import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from send_whatsapp.gateway.access import ANYBODY, Caller
from send_whatsapp.gateway.callers_file import MIN_TOKEN_LENGTH, digest_of, read_callers
from send_whatsapp.gateway.watched_file import WatchedFile
from send_whatsapp.settings import GatewaySettings, SettingsError

_EXAMPLES = {
    "GATEWAY_TOKENS": "GATEWAY_TOKENS=crm:a-long-random-token,shop:another-long-token",
    "GATEWAY_TOKENS_FILE": "a line crm:a-long-random-token",
}


class Tokens:
    """The tokens of settings, tokens file and callers file; without any, everybody may call."""

    def __init__(
        self, fixed: dict[str, str], file: Path | None, callers_file: Path | None = None
    ) -> None:
        """Accept `fixed` tokens by name and those of the files. Raises SettingsError for a file."""
        self._fixed = fixed
        self.file = WatchedFile(file, read_tokens) if file else None
        self.callers_file = WatchedFile(callers_file, read_callers) if callers_file else None

    @classmethod
    def from_settings(cls, settings: GatewaySettings) -> "Tokens":
        """Return the tokens of these settings.

        Raises SettingsError if there are no tokens but other machines can connect.
        """
        file = Path(settings.tokens_file) if settings.tokens_file else None
        callers_file = Path(settings.callers_file) if settings.callers_file else None
        fixed = parse_tokens(settings.tokens.get_secret_value().split(","))
        tokens = cls(fixed, file, callers_file)
        if tokens.everybody_may_call and not _is_loopback(settings.bind):
            raise SettingsError(
                "GATEWAY_TOKENS is not set, and GATEWAY_BIND is not a loopback address; for example"
                " GATEWAY_TOKENS=crm:a-long-random-token"
            )
        return tokens

    @property
    def everybody_may_call(self) -> bool:
        """Whether the gateway was started without tokens; it never loses them while it runs."""
        return not self._fixed and not self.files

    @property
    def files(self) -> list[WatchedFile[Any]]:
        """The files that must be followed."""
        return [file for file in (self.file, self.callers_file) if file]

    def caller(self, authorization: list[bytes]) -> Caller | None:
        """Return the owner of the token in these `Authorization` headers; None if it is invalid."""
        if self.everybody_may_call:
            return ANYBODY
        if len(authorization) != 1:
            return None
        scheme, _, given = authorization[0].partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        # Compare with every token, so that the time does not reveal which one is similar.
        digest = digest_of(given.strip())
        matches = [caller for caller, one in self._all() if hmac.compare_digest(one, digest)]
        return matches[0] if matches else None

    def callback_of(self, name: str) -> str | None:
        """Return the callback of the caller that has this name in the callers file, if any."""
        declared = self.callers_file.last_content.get(name) if self.callers_file else None
        return declared.caller.callback if declared else None

    def _all(self) -> Iterator[tuple[Caller, bytes]]:
        """Yield each valid token, as its SHA-256, with its caller."""
        # A caller has the rights of the callers file even while the tokens of the file are refused.
        declared = self.callers_file.last_content if self.callers_file else {}
        for caller, digests in ((self.callers_file and self.callers_file.content) or {}).values():
            for digest in digests:
                yield caller, digest
        for name, token in (self._fixed | ((self.file and self.file.content) or {})).items():
            caller = declared[name].caller if name in declared else Caller(name)
            yield caller, digest_of(token.encode())


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
