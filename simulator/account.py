"""What belongs to the simulated account: its custom fields, and its tags."""

from typing import Any

from pydantic import BaseModel

TEXT = 0
NUMBER = 1

DEFAULT_FIELDS: list[dict[str, Any]] = [
    {"id": 501, "name": "name", "type": TEXT},
    {"id": 502, "name": "reference", "type": TEXT},
    {"id": 503, "name": "document", "type": TEXT},
    {"id": 504, "name": "date", "type": TEXT},
    {"id": 505, "name": "status", "type": TEXT},
    {"id": 506, "name": "amount", "type": NUMBER},
]


class CustomField(BaseModel):
    """A custom field of all contacts. `type` is 0 for text and 1 for a number."""

    id: int
    name: str
    type: int = TEXT

    def keeps(self, value: Any) -> bool:
        """Return whether the field keeps a value; the provider drops any other without an error."""
        return self.type == TEXT or not isinstance(value, str)


class Tag(BaseModel):
    """A tag that contacts may carry."""

    id: int
    name: str


class Tags:
    """The tags of the account. Names differ if they differ in upper and lower case."""

    def __init__(self) -> None:
        self._by_id: dict[int, Tag] = {}

    def all(self) -> list[Tag]:
        """Return every tag."""
        return list(self._by_id.values())

    def get(self, tag_id: str) -> Tag | None:
        """Return the tag with an id as it is in a path, or None."""
        return self._by_id.get(int(tag_id)) if tag_id.isdecimal() else None

    def named(self, name: str) -> Tag | None:
        """Return the tag with exactly this name, or None."""
        return next((tag for tag in self._by_id.values() if tag.name == name), None)

    def create(self, name: str) -> Tag:
        """Return the tag with exactly this name; create it if necessary."""
        known = self.named(name)
        if known:
            return known
        tag = Tag(id=1001 + len(self._by_id), name=name)
        self._by_id[tag.id] = tag
        return tag
