"""The naive worker: what a tutorial leads to, only for the comparison."""

import asyncio
import os
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    import httpx

RETRIES = RetryPolicy(maximum_attempts=4)
START_TO_CLOSE = timedelta(seconds=33)


@dataclass
class Message:
    """A text or a template for a phone number in E.164."""

    to: str
    message: str
    template: str | None = None


@dataclass
class Outgoing:
    """The input of the send activity."""

    contact_id: str
    message: str
    flow_id: str | None = None


class Activities:
    """The activities of a send, with caches that never expire."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._contacts: dict[str, str] = {}
        self._flows: dict[str, str] = {}

    @activity.defn
    async def resolve_contact(self, to: str) -> str:
        """Find the contact by `+E.164`, then by its digits, or create it."""
        if to in self._contacts:
            return self._contacts[to]
        for value in (to, to.removeprefix("+")):
            response = await self._client.get(
                "/contacts/find_by_custom_field", params={"field_id": "phone", "value": value}
            )
            response.raise_for_status()
            if data := response.json().get("data"):
                self._contacts[to] = str(data[0]["id"])
                return self._contacts[to]
        response = await self._client.post("/contacts", json={"phone": to, "first_name": "Contact"})
        response.raise_for_status()
        self._contacts[to] = str(response.json()["data"]["id"])
        return self._contacts[to]

    @activity.defn
    async def find_flow(self, template: str) -> str | None:
        """Return the id of the flow with the template's name, or None."""
        if template not in self._flows:
            response = await self._client.get("/accounts/flows")
            response.raise_for_status()
            self._flows = {flow["name"]: str(flow["id"]) for flow in response.json()}
        return self._flows.get(template)

    @activity.defn
    async def send_message(self, outgoing: Outgoing) -> None:
        """Send the flow if there is one, otherwise the text."""
        path = f"/contacts/{outgoing.contact_id}/send/{outgoing.flow_id or 'text'}"
        body = {} if outgoing.flow_id else {"text": outgoing.message, "channel": "whatsapp"}
        response = await self._client.post(path, json=body)
        response.raise_for_status()


# The name of our workflow, so that the same starter works with both workers.
@workflow.defn(name="SendWhatsApp")
class SendMessage:
    """Resolve the contact, look up the flow, send."""

    @workflow.run
    async def run(self, message: Message) -> dict[str, object]:
        """Return the result of an accepted send."""
        contact_id = await workflow.execute_activity_method(
            Activities.resolve_contact,
            message.to,
            start_to_close_timeout=START_TO_CLOSE,
            retry_policy=RETRIES,
        )
        flow_id = None
        if message.template:
            flow_id = await workflow.execute_activity_method(
                Activities.find_flow,
                message.template,
                start_to_close_timeout=START_TO_CLOSE,
                retry_policy=RETRIES,
            )
        await workflow.execute_activity_method(
            Activities.send_message,
            Outgoing(contact_id, message.message, flow_id),
            start_to_close_timeout=START_TO_CLOSE,
            retry_policy=RETRIES,
        )
        return {
            "contactId": contact_id,
            "to": message.to,
            "timestamp": workflow.now().isoformat(),
            "sentAs": "template" if flow_id else "text",
        }


async def main() -> None:
    """Serve the task queue until the process ends."""
    key = os.environ["CGB_API_KEY"]
    headers = {"Authorization": f"Bearer {key}", "X-ACCESS-TOKEN": key}
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"])
    async with httpx.AsyncClient(base_url=os.environ["CGB_API_URL"], headers=headers) as http:
        activities = Activities(http)
        await Worker(
            client,
            task_queue=os.environ["TEMPORAL_TASK_QUEUE"],
            workflows=[SendMessage],
            activities=[
                activities.resolve_contact,
                activities.find_flow,
                activities.send_message,
            ],
        ).run()


if __name__ == "__main__":
    asyncio.run(main())
