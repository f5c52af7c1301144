"""The first step of a run: what the worker knows or can quickly look up, and the run's settings."""

import asyncio

from pydantic import BaseModel
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.contacts import Contact, ContactActivities
from activities.failures import AttemptFailure, map_unexpected_errors
from activities.flows import FlowActivities, FlowMatch
from activities.provider import START_TO_CLOSE_MARGIN_S
from activities.retries import RetryLimits

LOOK_UP_WITHIN_S = 1.0
"""A lookup in the first step that takes longer continues in an activity, which operators see and
which the run can cancel (ADR 0005)."""


class Prepare(BaseModel):
    """The recipient and the template of a send, and whether the provider may be called."""

    to: str
    template: str | None = None
    look_up: bool = False


class RunSettings(BaseModel):
    """The settings that a run uses, recorded in its history (ADR 0001).

    Start-to-close timeout (seconds) and retry limits of its activities, and whether search
    attributes are usable.
    """

    start_to_close_s: float
    retry: RetryLimits
    search_attributes: bool


class Preparation(RunSettings):
    """What the worker that starts a run knows about the message, and the run's settings.

    `invalid` says why `to` is not a phone number. `contact` and `flow` are null if they are not
    known yet; `failed_lookup` is the failure of a quick lookup.
    """

    to: str | None = None
    invalid: str | None = None
    contact: Contact | None = None
    failed_lookup: AttemptFailure | None = None
    flow: FlowMatch | None = None


class PrepareRows(BaseModel):
    """The numbers of several rows of a batch, as the caller wrote them."""

    to: list[str]


class RowPreparation(BaseModel):
    """A row's number in E.164, or why it is not a phone number; its contact id if known."""

    to: str | None = None
    invalid: str | None = None
    contact_id: str | None = None

    @property
    def contact(self) -> Contact | None:
        """The contact if it is known."""
        if self.to is None or self.contact_id is None:
            return None
        return Contact(to=self.to, contact_id=self.contact_id)


class PreparedRows(BaseModel):
    """The settings of all rows, and the rows in the order of the request."""

    settings: RunSettings
    rows: list[RowPreparation]

    def each(self, flows: list[FlowMatch | None]) -> list[Preparation]:
        """Return the preparation of each row, with its flow if that is known."""
        return [
            Preparation(
                to=row.to,
                invalid=row.invalid,
                contact=row.contact,
                flow=flow,
                **dict(self.settings),
            )
            for row, flow in zip(self.rows, flows, strict=True)
        ]


class PreparationActivities:
    """The first step, as a local activity: of one send, of a batch, or of many rows of a batch.

    Every run that starts on this worker gets these settings. With `one_request` the first step
    makes no provider call: local activities bypass the task queue and so its rate limit.
    """

    def __init__(
        self,
        contacts: ContactActivities,
        flows: FlowActivities,
        *,
        timeout_s: float,
        retry: RetryLimits,
        search_attributes: bool,
        one_request: bool = False,
    ) -> None:
        self._contacts = contacts
        self._flows = flows
        self._settings = RunSettings(
            start_to_close_s=timeout_s + START_TO_CLOSE_MARGIN_S,
            retry=retry,
            search_attributes=search_attributes,
        )
        self._one_request = one_request

    @activity.defn
    async def read_settings(self) -> RunSettings:
        """Return the settings of a run that prepares no message itself."""
        return self._settings

    @activity.defn
    async def prepare(self, request: Prepare) -> Preparation:
        """Return number, contact and flow as far as they are known, and the run's settings.

        With `look_up` an unknown contact is looked up at the provider, for at most LOOK_UP_WITHIN_S
        seconds. The flow list is never fetched here but by `find_flow`, which operators see. If the
        flow is unknown, the contact is left to `resolve_contact`, so that both run side by side.
        """
        with map_unexpected_errors():
            prepared = Preparation(**dict(self._settings))
            try:
                prepared.to = self._contacts.e164(request.to)
            except ApplicationError as error:
                prepared.invalid = error.message
                return prepared
            prepared.flow = self._flows.cached(request.template) if request.template else None
            contact_id = self._contacts.cached(prepared.to)
            flow_known = request.template is None or prepared.flow is not None
            if contact_id is None and request.look_up and flow_known and not self._one_request:
                try:
                    async with asyncio.timeout(LOOK_UP_WITHIN_S):
                        contact_id = await self._contacts.look_up(prepared.to, self._settings.retry)
                except TimeoutError:
                    pass  # The call continues; `resolve_contact` joins it.
                except ApplicationError as error:
                    prepared.failed_lookup = AttemptFailure.of(error)
            if contact_id is not None:
                prepared.contact = Contact(to=prepared.to, contact_id=contact_id)
            return prepared

    @activity.defn
    async def prepare_rows(self, request: PrepareRows) -> PreparedRows:
        """Prepare many rows in one activity, with the contacts that could be resolved."""
        with map_unexpected_errors():
            rows = [self._row(to) for to in request.to]
            numbers = {row.to for row in rows if row.to}
            found = await self._contacts.look_up_many(sorted(numbers), self._settings.retry)
            return PreparedRows(
                settings=self._settings,
                rows=[
                    row.model_copy(update={"contact_id": found.get(row.to or "")}) for row in rows
                ],
            )

    def _row(self, to: str) -> RowPreparation:
        try:
            return RowPreparation(to=self._contacts.e164(to))
        except ApplicationError as error:
            return RowPreparation(invalid=error.message)
