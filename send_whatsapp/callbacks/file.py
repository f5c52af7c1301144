"""The file that declares callbacks (`CALLBACKS_FILE`, docs/callbacks.md)."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError
from standardwebhooks import Webhook

from send_whatsapp.contract.callback import EventName
from send_whatsapp.contract.file_url import InvalidFileUrl, check_file_url
from send_whatsapp.contract.names import CALLER_NAME_PATTERN
from send_whatsapp.settings.yaml_file import read_yaml, wrong_file

VARIABLE: Final = "CALLBACKS_FILE"
ALL_EVENTS: Final[frozenset[EventName]] = frozenset(
    ("accepted", "failed", "unknown", "cancelled", "batch")
)
MIN_SECRET_BYTES: Final = 24
MAX_URL_LENGTH: Final = 2048
_SECRET_PREFIX: Final = "whsec_"


@dataclass(frozen=True)
class Callback:
    """A receiver of events: its URL, its secrets, and the events that it wants.

    Each call is signed with every secret, so that a receiver can change its secret without a gap.
    """

    url: str
    secrets: tuple[Webhook, ...]
    events: frozenset[EventName]


class _Entry(BaseModel):
    """One callback as the file declares it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: str
    secret_file: str
    events: Annotated[frozenset[EventName], Field(min_length=1)] = ALL_EVENTS

    @field_validator("url")
    @classmethod
    def _is_a_url(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            is_url = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            is_url = False
        if not is_url or len(url) > MAX_URL_LENGTH or not all("!" <= char <= "~" for char in url):
            raise PydanticCustomError("url", "must be an https URL in ASCII without spaces")
        if "@" in parts.netloc or parts.fragment:
            raise PydanticCustomError("url", "must not contain credentials or a fragment")
        return url


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    callbacks: dict[Annotated[str, Field(pattern=CALLER_NAME_PATTERN)], _Entry]


def load_callbacks(path: str | None, *, allow_private: bool) -> Mapping[str, Callback]:
    """Return the callbacks of a file by name; none without a path.

    A `secret_file` is relative to the folder of the file. With `allow_private`, a URL may be http
    or of a private host. Raises SettingsError, in one line, for a file that is wrong, and for a
    secret that is.
    """
    if path is None:
        return {}
    callbacks = {}
    for name, entry in read_yaml(Path(path), _File, VARIABLE).callbacks.items():
        if not allow_private:
            _check_is_public(name, entry.url)
        secrets = _read_secrets(name, Path(path).parent / entry.secret_file)
        callbacks[name] = Callback(entry.url, secrets, entry.events)
    return callbacks


def _check_is_public(name: str, url: str) -> None:
    problem = "must be https" if not url.lower().startswith("https://") else None
    try:
        check_file_url(url)
    except InvalidFileUrl as error:
        problem = problem or str(error)
    if problem:
        raise wrong_file(
            VARIABLE,
            f": callbacks.{name}.url {problem}; CALLBACKS_ALLOW_PRIVATE=true allows http and"
            " private hosts",
        )


def _read_secrets(name: str, path: Path) -> tuple[Webhook, ...]:
    try:
        lines = path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        raise wrong_file(VARIABLE, f": callbacks.{name}.secret_file cannot be read") from None
    secrets = [_secret(line) for line in lines]
    if not secrets or None in secrets:
        raise wrong_file(
            VARIABLE,
            f": callbacks.{name}.secret_file must hold {_SECRET_PREFIX} and the base64 of at least"
            f" {MIN_SECRET_BYTES} random bytes (one secret a line), for example from"
            " `head -c 32 /dev/urandom | base64`",
        )
    return tuple(secret for secret in secrets if secret)


def _secret(text: str) -> Webhook | None:
    try:
        key = base64.b64decode(text.removeprefix(_SECRET_PREFIX), validate=True)
    except binascii.Error:
        return None
    return Webhook(key) if len(key) >= MIN_SECRET_BYTES else None
