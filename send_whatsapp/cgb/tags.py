"""The provider calls about the state of a contact: its subscription and its tags."""

from send_whatsapp.cgb import contact_responses
from send_whatsapp.cgb.client import Budget, CGBClient
from send_whatsapp.cgb.contact_responses import Contact, Tag


class ContactState:
    """Reads and changes the state of contacts. Each method raises CGBError if it fails."""

    def __init__(self, client: CGBClient) -> None:
        self._client = client

    async def contact(self, contact_id: str, budget: Budget) -> Contact | None:
        """Return the contact with this id, or None."""
        response = await self._client.call(
            "read the contact",
            "GET /contacts/{contact_id}",
            f"contacts/{contact_id}",
            budget,
        )
        return contact_responses.contact(response)

    async def tags(self, budget: Budget) -> list[Tag]:
        """Return the tags of the account."""
        response = await self._client.call(
            "list the tags", "GET /accounts/tags", "accounts/tags", budget
        )
        return contact_responses.tags(response)

    async def create_tag(self, name: str, budget: Budget) -> str:
        """Create a tag and return its id."""
        response = await self._client.call(
            "create the tag", "POST /accounts/tags", "accounts/tags", budget, form={"name": name}
        )
        return contact_responses.created_tag(response)

    async def add_tag(self, contact_id: str, tag_id: str, budget: Budget) -> None:
        """Add a tag to a contact."""
        await self._change_tag("add the tag", "POST", contact_id, tag_id, budget)

    async def remove_tag(self, contact_id: str, tag_id: str, budget: Budget) -> None:
        """Remove a tag from a contact."""
        await self._change_tag("remove the tag", "DELETE", contact_id, tag_id, budget)

    async def _change_tag(
        self, call: str, method: str, contact_id: str, tag_id: str, budget: Budget
    ) -> None:
        response = await self._client.call(
            call,
            f"{method} /contacts/{{contact_id}}/tags/{{tag_id}}",
            f"contacts/{contact_id}/tags/{tag_id}",
            budget,
            # Without a body the provider answers 411 to some calls.
            json={} if method == "POST" else None,
        )
        contact_responses.changed(response)
