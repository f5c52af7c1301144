"""The base of everything that callers write: strict types, no unknown fields."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, model_validator
from pydantic.alias_generators import to_camel

from send_whatsapp.contract.validation import refusal


class Request(BaseModel):
    """Base of every workflow input: camelCase in JSON, strict types, no unknown fields."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _json_is_camel_case(cls, data: Any, info: ValidationInfo) -> Any:
        # Python callers use the field names; JSON has exactly one spelling of each.
        if info.mode == "json" and isinstance(data, dict):
            for name, field in cls.model_fields.items():
                if name in data and name != field.alias:
                    raise refusal("is not a known field", f"{field.alias}, its JSON name", name)
        return data
