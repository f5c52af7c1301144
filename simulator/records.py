"""What the simulator keeps and shows: contacts, flows, messages that arrived, requests that came."""

import re
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

Kind = Literal["text", "flow", "file"]
Search = Literal["as_given", "plus", "digits"]


def digits(text: str) -> str:
    """Return the ASCII digits of a phone number or contact id."""
    return re.sub(r"[^0-9]", "", text)


class Settings(BaseModel, extra="forbid"):
    """How the simulated account behaves; `POST /admin/settings` changes it while it runs.

    `search` says which form of a phone number finds its contact: exactly the one it was created
    with, only `+` and digits, or only digits. `rate_limit` is in calls a minute; beyond it comes a
    429, with `retry_after` where that is set, and as an error inside a 200 with
    `rate_limit_inside`. `delay_ms` passes before each call takes effect.
    """

    key: str = "demo-key"
    delay_ms: float = Field(default=0, ge=0)
    search: Search = "as_given"
    rate_limit: int | None = Field(default=None, ge=0)
    rate_limit_inside: bool = False
    retry_after: str | None = None


class Contact(BaseModel, extra="forbid"):
    """A person known to the account; without an id it gets the digits of the phone."""

    id: str = ""
    phone: str
    first_name: str = ""
    last_name: str = ""
    subscribed: int = 1
    tags: list[str] = []
    custom_fields: dict[str, Any] = {}

    @model_validator(mode="after")
    def _id_from_phone(self) -> Self:
        self.id = self.id or digits(self.phone)
        return self


class Flow(BaseModel, extra="forbid"):
    """A flow of the account; `{{field}}` in its body stands for a custom field of the contact."""

    id: int | str
    name: str
    body: str = ""


class InboxEntry(BaseModel):
    """A message that arrived on a phone; `body` is what the person reads, variables filled in."""

    id: int
    contact_id: str
    phone: str
    kind: Kind
    body: str | None = None
    text: str | None = None
    flow_id: str | None = None
    flow_name: str | None = None
    url: str | None = None
    type: str | None = None
    correlation_id: str | None = None
    received_at: datetime
    raw: Any = None


class RequestRecord(BaseModel):
    """A request of the provider's API.

    `arrived_at` is when its body was complete, None where it never was. `effect` says whether the
    request was carried out; `status` is what the answer said, None where none went out.
    """

    id: int
    route: str
    contact: str
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any = None
    began_at: datetime
    arrived_at: datetime | None = None
    answered_at: datetime | None = None
    effect: bool = False
    status: int | None = None
    fault: str | None = None


class Stats(BaseModel):
    """Counts since the start or the last reset; `requests` by route, `statuses` by status."""

    requests: dict[str, int]
    statuses: dict[str, int]
    inbox: dict[str, int]
    contacts: int
    in_flight: int
    max_in_flight: int
