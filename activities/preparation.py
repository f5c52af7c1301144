"""The first step of a run: what is known or quickly looked up, and the settings the run keeps."""

from pydantic import BaseModel
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.contacts import Contact, ContactActivities
from activities.flows import FlowActivities, FlowMatch
from activities.provider import START_TO_CLOSE_MARGIN_S, map_unexpected_errors

LOOK_UP_WITHIN_S = 1.0
"""A lookup of the first step that is not done by then goes on as an activity, which operators see
and which a cancellation of the run reaches (ADR 0005)."""


class Prepare(BaseModel):
    """Whom and what a run is about to look up, and whether this step may ask the provider."""

    to: str
    template: str | None = None
    look_up: bool = False


class Preparation(BaseModel):
    """What the worker that began a run knows, recorded in its history.

    Workflow code cannot read settings (they may change between replays), so the run gets them here:
    `start_to_close_s` and `attempts` of its activities, and whether search attributes are usable.
    `invalid` is why the phone number is none; `contact` and `flow` are null where not known.
    """

    to: str | None = None
    invalid: str | None = None
    contact: Contact | None = None
    flow: FlowMatch | None = None
    start_to_close_s: float
    attempts: int
    search_attributes: bool


class PrepareRows(BaseModel):
    """The numbers of several rows of a batch, as they were given."""

    to: list[str]


class RowPreparation(BaseModel):
    """What is known of one row: its number (or why it is none), and its contact if there is one."""

    to: str | None = None
    invalid: str | None = None
    contact_id: str | None = None


class PreparedRows(BaseModel):
    """The settings that all rows keep, and each row by the place it had in the question."""

    settings: Preparation
    rows: list[RowPreparation]

    def each(self, flows: list[FlowMatch | None]) -> list[Preparation]:
        """Return the preparation of every row, with the flow that is known for it."""
        return [
            self.settings.model_copy(
                update={
                    "to": row.to,
                    "invalid": row.invalid,
                    "contact": row.to
                    and row.contact_id
                    and Contact(to=row.to, contact_id=row.contact_id),
                    "flow": flow,
                }
            )
            for row, flow in zip(self.rows, flows, strict=True)
        ]


class PreparationActivities:
    """The first step, as a local activity: of one run, or of many rows of a batch."""

    def __init__(
        self,
        contacts: ContactActivities,
        flows: FlowActivities,
        *,
        timeout_s: float,
        retry_attempts: int,
        search_attributes: bool,
        one_request: bool = False,
    ) -> None:
        """Hand out these settings to every run that begins on this worker.

        With `one_request` a single send's first step asks the provider nothing: local activities go
        around the queue, and so around its limit.
        """
        self._contacts = contacts
        self._flows = flows
        self._timeout_s = timeout_s
        self._attempts = retry_attempts + 1
        self._search_attributes = search_attributes
        self._one_request = one_request

    @activity.defn
    async def prepare(self, asked: Prepare) -> Preparation:
        """Return the number in E.164 (or why it is none), contact and flow, and the settings.

        Asks the provider for the contact only where that is wanted, and never longer than
        LOOK_UP_WITHIN_S: what fails or takes longer is left to `resolve_contact`. A flow is known
        or not: its list is fetched once for many sends, by `find_flow`, where operators see it;
        then the contact is left to its activity as well, since both run side by side.
        """
        with map_unexpected_errors():
            prepared = self._settings()
            try:
                to = self._contacts.e164(asked.to)
            except ApplicationError as error:
                return prepared.model_copy(update={"invalid": error.message})
            flow = self._flows.cached(asked.template) if asked.template else None
            # A flow that is not known is asked for by its activity, and the contact beside it.
            whole = asked.template is None or flow is not None
            if asked.look_up and whole and not self._one_request:
                contact_id = await self._contacts.resolve_in_passing(to, LOOK_UP_WITHIN_S)
            else:
                contact_id = self._contacts.cached(to)
            contact = Contact(to=to, contact_id=contact_id) if contact_id else None
            return prepared.model_copy(update={"to": to, "contact": contact, "flow": flow})

    @activity.defn
    async def prepare_rows(self, asked: PrepareRows) -> PreparedRows:
        """Return what `prepare` does for each row, with its contact resolved where that is easy.

        A lookup that fails, or that the limit on requests forbids here, is left to the row itself,
        where operators see it and it is tried again; the first failure ends the lookups.
        """
        with map_unexpected_errors():
            rows = [self._row(to) for to in asked.to]
            numbers = {row.to for row in rows if row.to}
            found = await self._contacts.resolve_many(sorted(numbers))
            return PreparedRows(
                settings=self._settings(),
                rows=[
                    row.model_copy(update={"contact_id": found.get(row.to or "")}) for row in rows
                ],
            )

    def _row(self, to: str) -> RowPreparation:
        try:
            return RowPreparation(to=self._contacts.e164(to))
        except ApplicationError as error:
            return RowPreparation(invalid=error.message)

    def _settings(self) -> Preparation:
        return Preparation(
            start_to_close_s=self._timeout_s + START_TO_CLOSE_MARGIN_S,
            attempts=self._attempts,
            search_attributes=self._search_attributes,
        )
