"""What a response about contacts or tags means: pure functions, like those in responses.py."""

from dataclasses import dataclass
from typing import Any

from send_whatsapp.cgb.errors import Rejected
from send_whatsapp.cgb.responses import (
    Response,
    json_object,
    json_value,
    not_understood,
    valid_id,
)


@dataclass(frozen=True)
class Tag:
    """A tag of the account. Without an id it cannot be removed from a contact."""

    id: str | None
    name: str


@dataclass(frozen=True)
class Contact:
    """A contact as the provider shows it; None for what the response does not show."""

    id: str
    unsubscribed: bool | None = None
    tags: tuple[Tag, ...] | None = None

    @property
    def shows_state(self) -> bool:
        """Whether the response shows if the contact is subscribed, or its tags."""
        return self.unsubscribed is not None or self.tags is not None


def found_contact(response: Response) -> Contact | None:
    """Return the newest contact that was found, or None. Raises CGBError."""
    body = _object_or_none(response)
    if body is None:
        return None
    if "found" in body or "contact" in body:
        if body.get("contact") is None and not body.get("found"):
            return None
        return _contact(response, body.get("contact"))
    contacts = body.get("data")
    if contacts is None or contacts == []:
        return None
    return _contact(response, contacts[0] if isinstance(contacts, list) else None)


def created_contact(response: Response) -> Contact:
    """Return a contact that was created or existed already. Raises CGBError."""
    body = json_object(response, json_value(response))
    holder = next((body[key] for key in ("data", "contact") if body.get(key) is not None), body)
    return _contact(response, holder)


def contact(response: Response) -> Contact | None:
    """Return the contact with the id of the call, None if there is none. Raises CGBError.

    For an id that does not exist the provider answers 404, or 200 with empty fields.
    """
    body = _object_or_none(response)
    holder = body.get("data", body) if body else None
    if not isinstance(holder, dict) or not holder.get("id"):
        return None
    return _contact(response, holder)


def tags(response: Response) -> list[Tag]:
    """Return the tags of the account. Raises CGBError."""
    entries = json_value(response)
    if isinstance(entries, dict):
        entries = json_object(response, entries).get("data")
    found = _tags(entries)
    if found is None:
        not_understood(response, "without a list of tags")
    return list(found)


def created_tag(response: Response) -> str:
    """Return the id of a new tag. Raises CGBError."""
    body = json_object(response, json_value(response))
    holder = body["data"] if isinstance(body.get("data"), dict) else body
    tag_id = valid_id(holder.get("id"))
    if tag_id is None:
        not_understood(response, "with a tag without a valid id")
    return tag_id


def changed(response: Response) -> None:
    """Raise CGBError unless a tag was added or removed."""
    json_object(response, json_value(response))


def _object_or_none(response: Response) -> dict[str, Any] | None:
    """Return the body of a successful call; None if it says that there is no such contact."""
    try:
        return json_object(response, json_value(response))
    except Rejected as error:
        if error.status == 404:
            return None
        raise


def _contact(response: Response, value: Any) -> Contact:
    contact_id = valid_id(value.get("id")) if isinstance(value, dict) else None
    if contact_id is None:
        not_understood(response, "with a contact without a valid id")
    subscribed = str(value.get("subscribed"))
    unsubscribed = {"1": False, "2": True}.get(subscribed)
    return Contact(contact_id, unsubscribed, _tags(value.get("tags")))


def _tags(entries: Any) -> tuple[Tag, ...] | None:
    """Return tags, which are objects or just names; None if this is not a list of them."""
    if not isinstance(entries, list):
        return None
    found = []
    for entry in entries:
        name = entry.get("name") if isinstance(entry, dict) else entry
        if not isinstance(name, str):
            return None
        found.append(Tag(valid_id(entry.get("id")) if isinstance(entry, dict) else None, name))
    return tuple(found)
