"""What a response shows about the account: its name, its flows and its custom fields."""

from dataclasses import dataclass

from send_whatsapp.cgb.responses import (
    Response,
    json_object,
    json_value,
    not_understood,
    valid_id,
)


@dataclass(frozen=True)
class Flow:
    """A flow of the account. The id is opaque text, although the provider uses numbers."""

    id: str
    name: str


@dataclass(frozen=True)
class CustomField:
    """A field of all contacts. `type` is the provider's number for its type, 0 for text."""

    name: str
    type: int | None


@dataclass(frozen=True)
class Account:
    """The account that a key belongs to."""

    id: str | None
    name: str | None


def account(response: Response) -> Account:
    """Return the account that the key belongs to. Raises CGBError."""
    body = json_object(response, json_value(response))
    name = body.get("name")
    return Account(valid_id(body.get("page_id")), name if isinstance(name, str) else None)


def flows(response: Response) -> list[Flow]:
    """Return the account's flows.

    Raises CGBError, also if an entry has no id or no name.
    """
    entries = json_value(response)
    if not isinstance(entries, list):
        json_object(response, entries)
        not_understood(response, "without a list of flows")
    found = []
    for entry in entries:
        flow_id = valid_id(entry.get("id")) if isinstance(entry, dict) else None
        if flow_id is None or not isinstance(entry.get("name"), str):
            not_understood(response, "with a flow without an id or a name")
        found.append(Flow(flow_id, entry["name"]))
    return found


def custom_fields(response: Response) -> list[CustomField]:
    """Return the account's custom fields.

    Raises CGBError, also if an entry has no name.
    """
    entries = json_value(response)
    if not isinstance(entries, list):
        json_object(response, entries)
        not_understood(response, "without a list of custom fields")
    found = []
    for entry in entries:
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            not_understood(response, "with a custom field without a name")
        type_ = entry.get("type")
        found.append(CustomField(name, type_ if type(type_) is int else None))
    return found
