"""Webhooks: declared mappings from a foreign JSON body to a request, and their signatures."""

import base64
import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

import jmespath
import yaml
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import PydanticCustomError

from send_whatsapp.contract.errors import FieldProblem
from send_whatsapp.contract.names import InvalidKey, workflow_id
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.contract.validation import problems
from send_whatsapp.gateway.strict_json import NoJSON, parse_json
from send_whatsapp.settings import SettingsError

VARIABLE = "GATEWAY_WEBHOOKS_FILE"
FIELDS = {field.alias for field in SendWhatsAppRequest.model_fields.values()}


class Forged(Exception):
    """The signature, or the time that it vouches for, is not good; the message says which."""


class Unusable(Exception):
    """A body from which no request can be made; `problems` name what is wrong, not its value."""

    def __init__(self, *found: FieldProblem) -> None:
        """Carry the problems."""
        super().__init__(
            "; ".join(f"{p.field}: {p.problem} (expected {p.expected})" for p in found)
        )
        self.problems = found


class Asked(NamedTuple):
    """What a webhook makes of a body."""

    key: str
    request: SendWhatsAppRequest


def _expression(text: str) -> str:
    try:
        jmespath.compile(text)
    except JMESPathError as error:
        raise PydanticCustomError("expression", "is no JMESPath expression") from error
    return text


def _fields(given: dict[str, str]) -> dict[str, str]:
    if unknown := sorted(given.keys() - FIELDS):
        raise PydanticCustomError(
            "fields", "names {field}, which no request has", {"field": unknown[0]}
        )
    if "to" not in given:
        raise PydanticCustomError("fields", "does not say where `to` comes from")
    return given


def _signed(template: str) -> str:
    if re.findall(r"{(\w+)}", template) != ["timestamp", "body"]:
        raise PydanticCustomError("signed", "holds not {timestamp} and then {body}")
    return template


Expression = Annotated[str, AfterValidator(_expression)]


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Timestamp(_Declared):
    """A time that the signature covers, so that an old request cannot be sent again."""

    header: Annotated[str, Field(min_length=1)]
    window: Annotated[int, Field(ge=1, le=86400)] = 300
    """Seconds that the time may be off."""
    signed: Annotated[str, AfterValidator(_signed)] = "{timestamp}.{body}"
    """What the sender signs."""


class Signature(_Declared):
    """HMAC-SHA256 of the raw body, as the sender puts it into a header."""

    header: Annotated[str, Field(min_length=1)]
    prefix: str = ""
    encoding: Literal["hex", "base64"] = "hex"
    secret: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
    """Name of the environment variable that holds the secret."""
    timestamp: Timestamp | None = None

    def verify(
        self, secret: SecretStr, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> None:
        """Raise Forged unless the body was signed with the secret, within the window."""
        signed = body
        if self.timestamp:
            sent_at = headers.get(self.timestamp.header, "")
            before, after = self.timestamp.signed.split("{body}")
            signed = before.replace("{timestamp}", sent_at).encode() + body + after.encode()
        digest = hmac.new(secret.get_secret_value().encode(), signed, hashlib.sha256)
        expected = digest.hexdigest().encode()
        if self.encoding == "base64":
            expected = base64.b64encode(digest.digest())
        given = headers.get(self.header, "").encode()
        if not hmac.compare_digest(self.prefix.encode() + expected, given):
            raise Forged("The signature is missing or wrong")
        if self.timestamp and not self._is_recent(sent_at, self.timestamp.window, now):
            raise Forged("The signed time is missing, or too far from now")

    @staticmethod
    def _is_recent(sent_at: str, window: int, now: datetime) -> bool:
        if not re.fullmatch(r"[0-9]{1,12}", sent_at, re.ASCII):
            return False
        return abs(now.timestamp() - int(sent_at)) <= window


class Webhook(_Declared):
    """One foreign sender: how its bodies become requests."""

    request: Annotated[dict[str, Expression], AfterValidator(_fields)]
    key: Expression
    when: Expression | None = None
    signature: Signature | None = None
    secret: SecretStr = Field(SecretStr(""), exclude=True)

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """Raise Forged where a signature is demanded and this is none."""
        if self.signature:
            self.signature.verify(self.secret, headers, body, now)

    def read(self, name: str, body: Any) -> Asked | None:
        """Return what a body asks for, None where `when` says that it asks for nothing.

        Raises Unusable.
        """
        if self.when is not None and not _found(self.when, body, "when"):
            return None
        key = _found(self.key, body, "key")
        if isinstance(key, bool) or not isinstance(key, str | int) or key == "":
            raise Unusable(_problem("key", "is no text and no whole number", "a key in the body"))
        fields = {field: _found(text, body, field) for field, text in self.request.items()}
        try:
            return Asked(
                workflow_id(f"{name}-{key}"),
                SendWhatsAppRequest.model_validate(
                    {field: value for field, value in fields.items() if value is not None}
                ),
            )
        except InvalidKey as error:
            raise Unusable(_problem("key", str(error), "a shorter or plainer key")) from None
        except ValidationError as error:
            raise Unusable(*problems(error)) from None


class _File(_Declared):
    webhooks: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,59}$")], Webhook]

    @classmethod
    def read(cls, path: Path) -> Self:
        try:
            return cls.model_validate(yaml.safe_load(path.read_text()))
        except (OSError, UnicodeDecodeError):
            raise SettingsError(f"{VARIABLE} cannot be read; for example {_EXAMPLE}") from None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f" (line {mark.line + 1})" if mark else ""
            raise SettingsError(f"{VARIABLE} holds no YAML{line}; for example {_EXAMPLE}") from None
        except ValidationError as error:
            item = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in item["loc"] if part != "[key]") or "the file"
            said = item["msg"][0].lower() + item["msg"][1:]
            raise SettingsError(f"{VARIABLE}: {where}: {said}; for example {_EXAMPLE}") from None


_EXAMPLE = f"{VARIABLE}=examples/webhooks/webhooks.yaml"


def load(
    path: Path, environ: Mapping[str, str] = os.environ, *, secrets: bool = True
) -> dict[str, Webhook]:
    """Return the webhooks that a file declares, by name, each with its secret.

    Raises SettingsError, in one line, for a file that is wrong and for a secret that is not set.
    """
    declared = _File.read(path).webhooks
    if not secrets:
        return declared
    return {
        name: webhook.model_copy(update=_secret(name, webhook, environ))
        for name, webhook in declared.items()
    }


def dry_run(path: Path, name: str, body: bytes) -> dict[str, Any]:
    """Return as JSON what a body would send, and under which key; no secret is needed.

    Raises SettingsError for the file, Unusable for the body.
    """
    declared = load(path, secrets=False)
    if name not in declared:
        raise SettingsError(f"{path.name} declares no webhook {name}, but {', '.join(declared)}")
    try:
        asked = declared[name].read(name, parse_json(body))
    except NoJSON as error:
        raise Unusable(_problem("body", str(error), "one JSON value")) from None
    if asked is None:
        return {"sends": False}
    request = asked.request.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {"sends": True, "key": asked.key, "request": request}


def _secret(name: str, webhook: Webhook, environ: Mapping[str, str]) -> dict[str, SecretStr]:
    if webhook.signature is None:
        return {}
    variable = webhook.signature.secret
    if not environ.get(variable):
        raise SettingsError(
            f"{variable} is not set, and the webhook {name} is signed with it; for example"
            f" {variable}=the-secret-of-the-sender"
        )
    return {"secret": SecretStr(environ[variable])}


def _found(expression: str, body: Any, field: str) -> Any:
    try:
        return jmespath.search(expression, body)
    except JMESPathError:
        problem = "does not fit the body"
        raise Unusable(_problem(field, problem, "what the expression can be applied to")) from None


def _problem(field: str, problem: str, expected: str) -> FieldProblem:
    return FieldProblem(field=field, problem=problem, expected=expected)
