"""The naive form: the worker a tutorial would lead to, for the comparison and nothing else."""

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
WITHIN = timedelta(seconds=33)


@dataclass
class Message:
    """One text or template, to a phone number in E.164."""

    to: str
    message: str
    template: str | None = None


@dataclass
class Outgoing:
    """What the send activity needs."""

    contact_id: str
    message: str
    flow_id: str | None = None


class Activities:
    """The three calls of a send, over one default client, with the specification's caches."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        """Use this client."""
        self._client = client
        self._contacts: dict[str, str] = {}
        self._flows: dict[str, str] = {}

    @activity.defn
    async def resolve_contact(self, to: str) -> str:
        """Find the contact by `+E.164`, then by its digits, or create it."""
        if to in self._contacts:
            return self._contacts[to]
        for value in (to, to.removeprefix("+")):
            answer = await self._client.get(
                "/contacts/find_by_custom_field", params={"field_id": "phone", "value": value}
            )
            answer.raise_for_status()
            if data := answer.json().get("data"):
                self._contacts[to] = str(data[0]["id"])
                return self._contacts[to]
        answer = await self._client.post("/contacts", json={"phone": to, "first_name": "Contact"})
        answer.raise_for_status()
        self._contacts[to] = str(answer.json()["data"]["id"])
        return self._contacts[to]

    @activity.defn
    async def find_flow(self, template: str) -> str | None:
        """Return the flow whose name is the template's."""
        if template not in self._flows:
            answer = await self._client.get("/accounts/flows")
            answer.raise_for_status()
            self._flows = {flow["name"]: str(flow["id"]) for flow in answer.json()}
        return self._flows.get(template)

    @activity.defn
    async def send_message(self, outgoing: Outgoing) -> None:
        """Send the flow, or the text."""
        path = f"/contacts/{outgoing.contact_id}/send/{outgoing.flow_id or 'text'}"
        body = {} if outgoing.flow_id else {"text": outgoing.message, "channel": "whatsapp"}
        answer = await self._client.post(path, json=body)
        answer.raise_for_status()


# Named like ours, so that the same starter sends through either.
@workflow.defn(name="SendWhatsApp")
class SendMessage:
    """Resolve, look up, send."""

    @workflow.run
    async def run(self, message: Message) -> dict[str, object]:
        """Return what was sent."""
        contact_id = await workflow.execute_activity_method(
            Activities.resolve_contact,
            message.to,
            start_to_close_timeout=WITHIN,
            retry_policy=RETRIES,
        )
        flow_id = None
        if message.template:
            flow_id = await workflow.execute_activity_method(
                Activities.find_flow,
                message.template,
                start_to_close_timeout=WITHIN,
                retry_policy=RETRIES,
            )
        await workflow.execute_activity_method(
            Activities.send_message,
            Outgoing(contact_id, message.message, flow_id),
            start_to_close_timeout=WITHIN,
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
