"""The state of the simulated provider: contacts, flows, requests, and the inbox of each phone."""

import re
import time
from typing import Any

from pydantic import BaseModel

from simulator.account import DEFAULT_FIELDS, CustomField, Tags
from simulator.rendering import Rendering

SUBSCRIBED = 1
UNSUBSCRIBED = 2

DEFAULT_FLOWS: list[dict[str, Any]] = [
    {"id": 1752250957765, "name": "Visa Approved", "text": "Dear {{name}}, your visa is approved."},
    {"id": 1752250957766, "name": "visa_rejected", "text": "Dear {{name}}, your visa is rejected."},
    {"id": 1752250957767, "name": "Document-Request", "text": "Please send {{document}}."},
    {"id": 1752250957768, "name": "appointment reminder", "text": "See you on {{date}}."},
    {"id": 1752250957769, "name": "Case STATUS_UPDATE (2027)", "text": "Status: {{status}}."},
    {"id": 1752250957770, "name": "Welcome new customer", "text": "Welcome, {{name}}!"},
    {"id": 1752250957771, "name": "Welcome old customer", "text": "Welcome back, {{name}}!"},
]


class Flow(BaseModel):
    """A flow and the text it sends; {{name}} is replaced by that field of the contact."""

    id: int
    name: str
    text: str = ""


class Contact(BaseModel):
    """A contact. Its id is the digits of its phone, as for the provider's WhatsApp contacts.

    `fields` keep their values until they are written again. `tags` are ids.
    """

    id: str
    phone: str
    first_name: str = ""
    subscribed: int = SUBSCRIBED
    tags: set[int] = set()
    fields: dict[str, str] = {}


class Message(BaseModel):
    """A message that arrived on a phone."""

    number: int
    phone: str
    kind: str
    text: str
    flow_id: int | None = None
    url: str | None = None
    type: str | None = None
    correlation_id: str | None = None
    at: float


class SeenRequest(BaseModel):
    """A request that the provider received, whether it succeeded or not."""

    route: str
    method: str
    path: str
    query: dict[str, str]
    body: Any = None
    headers: dict[str, str]
    at: float


class State:
    """The state, in memory. `flows` replaces the default flows.

    Flows are rendered `render_delay_ms` after they were accepted, also after a reset.
    """

    def __init__(
        self, flows: list[dict[str, Any]] | None = None, *, render_delay_ms: int = 0
    ) -> None:
        self._initial = flows if flows is not None else DEFAULT_FLOWS
        self._render_delay_ms = render_delay_ms
        self.rendering = Rendering()
        self.reset()

    def reset(self) -> None:
        """Delete contacts, tags, messages and requests; restore flows, fields and the delay."""
        self.rendering.cancel()
        self.rendering.delay_ms = self._render_delay_ms
        self.flows = {f["id"]: Flow(**f) for f in self._initial}
        self.custom_fields = [CustomField(**field) for field in DEFAULT_FIELDS]
        self.tags = Tags()
        self.contacts: dict[str, Contact] = {}
        self.inbox: list[Message] = []
        self.requests: list[SeenRequest] = []

    def find(self, phone: str) -> Contact | None:
        """Return the contact whose phone is exactly this text."""
        digits = re.sub(r"\D", "", phone)
        contact = self.contacts.get(digits)
        return contact if contact and contact.phone == phone else None

    def upsert(self, phone: str, first_name: str) -> Contact:
        """Return the contact of a phone; create it if necessary."""
        digits = re.sub(r"\D", "", phone)
        return self.contacts.setdefault(
            digits, Contact(id=digits, phone=phone, first_name=first_name)
        )

    def shown(self, contact: Contact) -> dict[str, Any]:
        """Return a contact as the provider's API shows it; its id is a number there."""
        return {
            "id": int(contact.id),
            "first_name": contact.first_name,
            "channel": 5,
            "subscribed": contact.subscribed,
            "tags": [tag.model_dump() for tag in self.tags.all() if tag.id in contact.tags],
            "custom_fields": [
                {"name": name, "value": value} for name, value in contact.fields.items()
            ],
        }

    def set_field(self, contact_id: str, name: str, value: Any) -> None:
        """Write a field of a contact; a value that the field's type does not allow is dropped."""
        contact = self.contacts.get(contact_id)
        kinds = [field for field in self.custom_fields if field.name == name]
        if contact and all(field.keeps(value) for field in kinds):
            contact.fields[name] = str(value)

    def deliver(
        self, contact_id: str, kind: str, correlation_id: str | None, **content: Any
    ) -> Message:
        """Add a message to the inbox; the contact need not exist."""
        known = self.contacts.get(contact_id)
        message = Message(
            number=len(self.inbox) + 1,
            phone=f"+{known.id if known else contact_id}",
            kind=kind,
            correlation_id=correlation_id,
            at=time.time(),
            **content,
        )
        self.inbox.append(message)
        return message

    def run_flow(self, contact_id: str, flow_id: Any, correlation_id: str | None) -> None:
        """Send a flow. An unknown flow sends nothing and is not an error, as at the provider.

        Its text is made from the fields that the contact has when the flow is rendered.
        """
        flow = self.flows.get(int(flow_id)) if str(flow_id).isdigit() else None
        if flow is None:
            return

        def render() -> None:
            known = self.contacts.get(contact_id)
            fields = known.fields if known else {}
            text = re.sub(r"{{(.*?)}}", lambda m: fields.get(m[1].strip(), ""), flow.text)
            self.deliver(contact_id, "flow", correlation_id, text=text, flow_id=flow.id)

        self.rendering.schedule(render)
