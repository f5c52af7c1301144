"""One declared webhook: which sends its bodies become, by JMESPath expressions."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, NamedTuple

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_core import PydanticCustomError

from send_whatsapp.contract.errors import FieldProblem
from send_whatsapp.contract.fields import FALLBACK_VARIABLE
from send_whatsapp.contract.names import InvalidKey, webhook_id
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.contract.validation import problems
from send_whatsapp.gateway.callers_file import CallerName
from send_whatsapp.gateway.webhooks.signature import Declaration, Signature

REQUEST_FIELDS = {field.alias for field in SendWhatsAppRequest.model_fields.values()}


class InvalidWebhookBody(Exception):
    """A body that does not become a valid request; `problems` name what is wrong, not its value."""

    def __init__(self, *problems: FieldProblem) -> None:
        super().__init__(
            "; ".join(f"{p.field}: {p.problem} (expected {p.expected})" for p in problems)
        )
        self.problems = problems


class MappedRequest(NamedTuple):
    """What a body becomes: its key, the workflow id with this key, and a request."""

    key: str
    workflow_id: str
    request: SendWhatsAppRequest


def _expression(text: str) -> str:
    try:
        jmespath.compile(text)
    except JMESPathError as error:
        raise PydanticCustomError("expression", "is not a valid JMESPath expression") from error
    return text


def _request_fields(expressions: dict[str, str]) -> dict[str, str]:
    if unknown := sorted(expressions.keys() - REQUEST_FIELDS):
        raise PydanticCustomError(
            "fields", "contains {field}, which is not a field of a request", {"field": unknown[0]}
        )
    if "to" not in expressions:
        raise PydanticCustomError("fields", "must contain an expression for `to`")
    return expressions


Expression = Annotated[str, AfterValidator(_expression)]


class Webhook(Declaration):
    """One sender of webhooks: how its bodies become requests, and how it signs them."""

    request: Annotated[dict[str, Expression], AfterValidator(_request_fields)]
    key: Expression
    when: Expression | None = None
    caller: CallerName | None = None
    """The caller that owns what the webhook sends."""
    signature: Signature | None = None
    secret: SecretStr = Field(SecretStr(""), exclude=True)
    """The value of the variable that `signature.secret` names."""

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """Raise InvalidSignature if the webhook has a signature and this one is not valid."""
        if self.signature:
            self.signature.verify(self.secret, headers, body, now)

    def map(self, name: str, body: Any) -> MappedRequest | None:
        """Return what a body becomes; None if `when` does not hold for it.

        `name` is the webhook's own, a part of the workflow id. Raises InvalidWebhookBody.
        """
        if self.when is not None and not _search(self.when, body, "when"):
            return None
        found = _search(self.key, body, "key")
        if isinstance(found, bool) or not isinstance(found, str | int) or found == "":
            raise invalid_body(
                "key", "is missing, or not text or a whole number", "a key in the body"
            )
        key = str(found)
        fields = {field: _search(text, body, field) for field, text in self.request.items()}
        variables = fields.get("variables")
        if isinstance(variables, dict) and _is_absent(variables.get(FALLBACK_VARIABLE)):
            fields["variables"] = {n: v for n, v in variables.items() if n != FALLBACK_VARIABLE}
        window = fields.get("sendWindow")
        if isinstance(window, dict):
            fields["sendWindow"] = {n: v for n, v in window.items() if not _is_absent(v)} or None
        try:
            return MappedRequest(
                key,
                webhook_id(name, key),
                SendWhatsAppRequest.model_validate(
                    {field: value for field, value in fields.items() if not _is_absent(value)}
                ),
            )
        except InvalidKey as error:
            raise invalid_body("key", str(error), "a shorter or plainer key") from None
        except ValidationError as error:
            raise InvalidWebhookBody(*problems(error)) from None


def invalid_body(field: str, problem: str, expected: str) -> InvalidWebhookBody:
    """Return the error for one field."""
    return InvalidWebhookBody(FieldProblem(field=field, problem=problem, expected=expected))


def _is_absent(value: Any) -> bool:
    """Return whether a field is left out: many senders write "" for what they do not have."""
    return value is None or (isinstance(value, str) and not value.strip())


def _search(expression: str, body: Any, field: str) -> Any:
    try:
        return jmespath.search(expression, body)
    except Exception:  # functions raise errors of many types, for example `ceil` for infinity
        expected = "a body that the expression fits"
        raise invalid_body(
            field, "has an expression that does not fit the body", expected
        ) from None
