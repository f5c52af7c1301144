"""The first step of a run: what needs no provider call, and the settings the run keeps."""

from pydantic import BaseModel
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.contacts import Contact, ContactActivities
from activities.flows import FlowActivities, FlowMatch
from activities.provider import START_TO_CLOSE_MARGIN_S, no_surprises


class Prepare(BaseModel):
    """Whom and what a run is about to look up."""

    to: str
    template: str | None = None


class Preparation(BaseModel):
    """What the worker that began a run knows, recorded in its history.

    Workflow code cannot read settings (they may change between replays), so the run gets them here:
    `start_to_close_s` and `attempts` of its activities, and whether search attributes are usable.
    `invalid` is why the phone number is none; `contact` and `flow` are null where a call is needed.
    """

    to: str | None = None
    invalid: str | None = None
    contact: Contact | None = None
    flow: FlowMatch | None = None
    start_to_close_s: float
    attempts: int
    search_attributes: bool


class PreparationActivities:
    """Answers from this worker's memory alone, as a local activity."""

    def __init__(
        self,
        contacts: ContactActivities,
        flows: FlowActivities,
        *,
        timeout_s: float,
        retry_attempts: int,
        search_attributes: bool,
    ) -> None:
        """Hand out these settings to every run that begins on this worker."""
        self._contacts = contacts
        self._flows = flows
        self._timeout_s = timeout_s
        self._attempts = retry_attempts + 1
        self._search_attributes = search_attributes

    @activity.defn
    async def prepare(self, asked: Prepare) -> Preparation:
        """Return the number in E.164 (or why it is none), what is cached, and the settings."""
        with no_surprises():
            prepared = Preparation(
                start_to_close_s=self._timeout_s + START_TO_CLOSE_MARGIN_S,
                attempts=self._attempts,
                search_attributes=self._search_attributes,
            )
            try:
                to = self._contacts.e164(asked.to)
            except ApplicationError as error:
                return prepared.model_copy(update={"invalid": error.message})
            contact_id = self._contacts.cached(to)
            contact = Contact(to=to, contact_id=contact_id) if contact_id else None
            flow = self._flows.cached(asked.template) if asked.template else None
            return prepared.model_copy(update={"to": to, "contact": contact, "flow": flow})
