"""The request: checked field by field before any call."""

import json
from typing import Any, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from send_whatsapp.contract.fields import (
    FALLBACK_VARIABLE,
    FileType,
    FileUrl,
    OptionalDelivery,
    OptionalFlag,
    PhoneText,
    TemplateName,
    Text,
    Time,
    Variable,
    Variables,
    check_order,
)
from send_whatsapp.contract.model import Request
from send_whatsapp.contract.phone import InvalidPhoneNumber, to_e164
from send_whatsapp.contract.result import SentAs
from send_whatsapp.contract.send_window import SendWindow
from send_whatsapp.contract.validation import refusal

_NULL: dict[str, Any] = {"type": "null"}
_STRING: dict[str, Any] = {"type": "string"}
_NO_VARIABLES: dict[str, Any] = {"type": ["object", "null"], "maxProperties": 0}
_NO_FILE = {"fileUrl": _NULL, "fileType": _NULL}

_EXACTLY_ONE_CONTENT = [
    {
        "required": ["message"],
        "properties": {"message": _STRING, "template": _NULL, "variables": _NO_VARIABLES}
        | _NO_FILE,
    },
    {"required": ["template"], "properties": {"template": _STRING} | _NO_FILE},
    {
        "required": ["fileUrl", "fileType"],
        "properties": {
            "fileUrl": _STRING,
            "fileType": _STRING,
            "message": _NULL,
            "template": _NULL,
            "variables": _NO_VARIABLES,
        },
    },
]


class SendWhatsAppRequest(Request):
    """One message to one person: a free text, a template, or a file (docs/request.md).

    Optional fields may be null, which means absent. Raises pydantic's ValidationError for anything
    that the contract refuses; `validation.problems` describes it without values.
    """

    model_config = ConfigDict(json_schema_extra={"oneOf": _EXACTLY_ONE_CONTENT})  # type: ignore[dict-item]

    to: PhoneText
    message: Text | None = Field(
        None, description="free text, 1 to 4,096 characters; beside template the fallback text"
    )
    template: TemplateName | None = Field(
        None, description="template name, looked up among the provider's flows"
    )
    variables: Variables | None = Field(
        None, description="template variables by name; fallback_message is the fallback text"
    )
    file_url: FileUrl | None = Field(None, description="http(s) URL of a file on a public host")
    file_type: FileType | None = Field(None, description="kind of file")
    delivery: OptionalDelivery = Field(
        "at_least_once", description="what to do if nobody can know whether a send went out"
    )
    in_order: OptionalFlag = Field(
        False, description="send only after the earlier messages to the same person have ended"
    )
    send_at: Time | None = Field(None, description="do not send before this time (ISO 8601)")
    expires_at: Time | None = Field(None, description="do not send after this time (ISO 8601)")
    ignore_opt_out: OptionalFlag = Field(
        False, description="send even if the person has opted out, for example a legal notice"
    )
    send_window: SendWindow | None = Field(
        None, description="send only between these times of a day; wait if it is another time"
    )

    @model_validator(mode="after")
    def _exactly_one_content(self) -> Self:
        if (self.file_url is None) != (self.file_type is None):
            missing = "file_type" if self.file_type is None else "file_url"
            raise refusal("is missing", "fileUrl and fileType together", to_camel(missing))
        contents = [self.template or self.message, self.file_url]
        if sum(content is not None for content in contents) != 1:
            raise refusal(
                "has two contents" if any(contents) else "has no content",
                "exactly one of message, template, or fileUrl with fileType",
            )
        if self.variables and self.template is None:
            raise refusal("needs a template", "a template, or no variables", "variables")
        check_order(self.send_at, self.expires_at)
        return self

    @property
    def requested_kind(self) -> SentAs:
        """The kind of message that the request wants to send; a fallback may be sent instead."""
        if self.template is not None:
            return "template"
        return "text" if self.file_url is None else "media"

    @property
    def fallback_text(self) -> str | None:
        """The text to send if no flow matches; `variables.fallback_message` wins."""
        if self.template is None:
            return None
        fallback = (self.variables or {}).get(FALLBACK_VARIABLE)
        return fallback if isinstance(fallback, str) else self.message

    @property
    def template_variables(self) -> dict[str, str]:
        """The template variables as text, by name, with each run of white space as one space.

        WhatsApp rejects line breaks, tabs and runs of spaces in them (docs/provider-api.md,
        "Template variables").
        """
        return {
            name: " ".join(_as_text(value).split())
            for name, value in (self.variables or {}).items()
            if name != FALLBACK_VARIABLE
        }

    @property
    def takes_turn(self) -> bool:
        """Whether messages to the same person must not overlap with this one.

        The provider reads the variables of a template from the contact, some time after it has
        accepted the message (docs/delivery.md, "Turns").
        """
        return self.in_order or bool(self.template_variables)

    def in_e164(self, region: str) -> Self:
        """Return the request with `to` in E.164 (see `to_e164`). Raises InvalidPhoneNumber."""
        return self.model_copy(update={"to": to_e164(self.to, region)})

    def is_same_message(self, other: Self, region: str) -> bool:
        """Return whether two requests may share a key: all fields but the times are equal.

        Two notations of one number are equal; `region` says how to read those without `+`.
        """
        return self._comparable(region).body() == other._comparable(region).body()

    def _comparable(self, region: str) -> Self:
        try:
            return self.in_e164(region)
        except InvalidPhoneNumber:
            return self

    def body(self) -> str:
        """Return the text by which two requests are compared.

        JSON with defaults filled in and without times. Python objects would not do: 1, 1.0 and
        True are equal in Python but are sent as different texts.
        """
        fields = self.model_dump(mode="json", by_alias=True, exclude={"send_at", "expires_at"})
        # The digests of running batches are older than these fields.
        for name in ("inOrder", "ignoreOptOut", "sendWindow"):
            if not fields[name]:
                del fields[name]
        return json.dumps(fields, sort_keys=True)


def _as_text(value: Variable) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
