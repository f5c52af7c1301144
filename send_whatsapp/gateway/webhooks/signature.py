"""The signature of a webhook: HMAC-SHA256 of the raw body, with a signed time if declared."""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from pydantic_core import PydanticCustomError


class InvalidSignature(Exception):
    """The signature is missing or wrong, or its time is; the message says which."""


class Declaration(BaseModel):
    """Base of everything that the webhooks file declares."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _signed_template(template: str) -> str:
    if re.findall(r"{(\w+)}", template) != ["timestamp", "body"]:
        raise PydanticCustomError("signed", "must contain {timestamp} and then {body}")
    return template


class Timestamp(Declaration):
    """A time that the signature covers, so that nobody can send an old request again."""

    header: Annotated[str, Field(min_length=1)]
    """Header with the time, in seconds since 1970."""
    window: Annotated[int, Field(ge=1, le=86400)] = 300
    """How many seconds the time may differ from ours."""
    signed: Annotated[str, AfterValidator(_signed_template)] = "{timestamp}.{body}"
    """The text that the sender signs."""


class Signature(Declaration):
    """How the sender signs its bodies."""

    header: Annotated[str, Field(min_length=1)]
    prefix: str = ""
    encoding: Literal["hex", "base64"] = "hex"
    secret: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
    """Name of the environment variable that contains the secret."""
    timestamp: Timestamp | None = None

    def verify(
        self, secret: SecretStr, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> None:
        """Raise InvalidSignature unless the body was signed with the secret, within the window."""
        sent_at = headers.get(self.timestamp.header, "") if self.timestamp else ""
        signed = self._signed_bytes(sent_at, body)
        digest = hmac.new(secret.get_secret_value().encode(), signed, hashlib.sha256)
        given = headers.get(self.header, "").encode()
        prefix = self.prefix.encode()
        if self.encoding == "base64":
            expected = base64.b64encode(digest.digest())
        else:
            # Hex digits may be in upper case; the prefix is compared as it is declared.
            expected = digest.hexdigest().encode()
            given = given[: len(prefix)] + given[len(prefix) :].lower()
        if not hmac.compare_digest(prefix + expected, given):
            raise InvalidSignature("The signature is missing or wrong")
        if self.timestamp and not _is_recent(sent_at, self.timestamp.window, now):
            raise InvalidSignature("The signed time is missing, malformed or too far from now")

    def _signed_bytes(self, sent_at: str, body: bytes) -> bytes:
        if self.timestamp is None:
            return body
        before, after = self.timestamp.signed.split("{body}")
        return before.replace("{timestamp}", sent_at).encode() + body + after.encode()


def _is_recent(sent_at: str, window_s: int, now: datetime) -> bool:
    if not re.fullmatch(r"[0-9]{1,12}", sent_at, re.ASCII):
        return False
    return abs(now.timestamp() - int(sent_at)) <= window_s
