"""The file that declares callers (`GATEWAY_CALLERS_FILE`, docs/callers.md)."""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from send_whatsapp.contract.names import CALLER_NAME_PATTERN
from send_whatsapp.gateway.access import ALL_PERMISSIONS, Caller, Permission
from send_whatsapp.settings.yaml_file import read_yaml, wrong_file

VARIABLE: Final = "GATEWAY_CALLERS_FILE"
MIN_TOKEN_LENGTH: Final = 16

CallerName = Annotated[str, Field(pattern=CALLER_NAME_PATTERN)]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _token(value: Any) -> Any:
    if not isinstance(value, str) or not value.isascii() or " " in value:
        raise PydanticCustomError("token", "must be ASCII text without spaces, in quotes")
    if len(value) < MIN_TOKEN_LENGTH:
        raise PydanticCustomError(
            "token", f"has fewer than {MIN_TOKEN_LENGTH} characters, so it can be guessed"
        )
    return value


Sha256 = Annotated[str, StringConstraints(strict=True, to_lower=True, pattern=r"^[0-9a-fA-F]{64}$")]


class _Entry(BaseModel):
    """One caller as the file declares it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    token: Annotated[SecretStr, BeforeValidator(_token)] | None = None
    token_sha256: Annotated[list[Sha256], BeforeValidator(_as_list), Field(min_length=1)] | None = (
        None
    )
    may: Annotated[frozenset[Permission], Field(min_length=1)] = ALL_PERMISSIONS
    sees: Literal["own", "all"] = "own"
    templates: (
        Annotated[frozenset[Annotated[str, Field(strict=True, min_length=1)]], Field(min_length=1)]
        | None
    ) = None
    requests_per_minute: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] | None = None
    callback: CallerName | None = None

    @model_validator(mode="after")
    def _has_a_token(self) -> Self:
        if (self.token is None) == (self.token_sha256 is None):
            raise PydanticCustomError("token", "must have either token_sha256 or token")
        return self

    def digests(self) -> list[bytes]:
        """Return the SHA-256 of each token of this caller."""
        if self.token is not None:
            return [digest_of(self.token.get_secret_value().encode())]
        return [bytes.fromhex(digest) for digest in self.token_sha256 or ()]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    callers: Annotated[dict[CallerName, _Entry], Field(min_length=1)]


class DeclaredCaller(NamedTuple):
    """A caller, and the SHA-256 of each of its tokens."""

    caller: Caller
    digests: list[bytes]


def digest_of(token: bytes) -> bytes:
    """Return the SHA-256 of a token. A token is random, so nobody can guess it from this."""
    return hashlib.sha256(token).digest()


def read_callers(path: Path) -> dict[str, DeclaredCaller]:
    """Return the callers of a file by name. Raises SettingsError, in one line, for a wrong file."""
    entries = read_yaml(path, _File, VARIABLE).callers
    owners: dict[bytes, str] = {}
    for name, entry in entries.items():
        for digest in entry.digests():
            if owners.setdefault(digest, name) != name:
                raise wrong_file(
                    VARIABLE, f": callers.{name} has the same token as callers.{owners[digest]}"
                )
    return {name: _declared(name, entry) for name, entry in entries.items()}


def _declared(name: str, entry: _Entry) -> DeclaredCaller:
    caller = Caller(
        name=name,
        may=entry.may,
        sees_all=entry.sees == "all",
        templates=entry.templates,
        requests_per_minute=entry.requests_per_minute,
        callback=entry.callback,
    )
    return DeclaredCaller(caller, entry.digests())
