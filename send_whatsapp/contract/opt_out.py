"""A change of somebody's opt-out: its request and its result."""

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from send_whatsapp.contract.fields import PhoneText
from send_whatsapp.contract.model import Request


class SetOptOutRequest(Request):
    """Input of the workflow `SetOptOut`: a phone number, and whether the person has opted out."""

    to: PhoneText = Field(description="phone number in any usual notation, for example +1234567890")
    opted_out: bool


class SetOptOutResult(BaseModel):
    """What the provider has after the change; `to` is E.164.

    `unsubscribed`: the provider shows the person as unsubscribed; None if it was not asked, after
    an opt-out. `respected`: the worker refuses sends to people who have opted out.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")

    to: str
    opted_out: bool
    unsubscribed: bool | None = None
    respected: bool
