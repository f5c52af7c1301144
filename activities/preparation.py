"""The first step of a run: what the worker knows or can quickly look up, and the run's settings."""

import asyncio
from datetime import datetime

from pydantic import BaseModel
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.contacts import Contact, ContactActivities
from activities.failures import map_unexpected_errors
from activities.flows import FlowActivities
from activities.provider import START_TO_CLOSE_MARGIN_S
from activities.retries import RetryLimits
from activities.turns import AskedTurn, Turns
from send_whatsapp.contract.attempts import AttemptFailure, FailedAttempt
from send_whatsapp.contract.catalogue import Catalogue, variable_problems
from send_whatsapp.contract.errors import FieldProblem
from send_whatsapp.contract.opening_times import Opening, opening
from send_whatsapp.contract.send_window import SendWindow
from send_whatsapp.contract.templates import FlowMatch
from send_whatsapp.contract.turns import Ticket

LOOK_UP_WITHIN_S = 1.0
"""A lookup in the first step that takes longer continues in an activity, which operators see and
which the run can cancel (ADR 0005)."""


class Prepare(BaseModel):
    """The recipient and the template of a send, and whether the provider may be called.

    `variables` are the names of the template's variables in the request. `ticket` asks for a turn,
    if the message takes one. `window` is the send window, if there is one, which counts at the
    time `at`.
    """

    to: str
    template: str | None = None
    variables: list[str] = []
    look_up: bool = False
    ticket: Ticket | None = None
    window: SendWindow | None = None
    at: datetime | None = None


class RunSettings(BaseModel):
    """The settings that a run uses, recorded in its history (ADR 0001).

    Start-to-close timeout (seconds) and retry limits of its activities, whether search attributes
    are usable, whether one activity may make only one provider request, and whether the run takes
    turns: a run that started on an older worker does not. `listed_variables` are those of each
    template of the rows of a part, if the catalogue lists them.
    """

    start_to_close_s: float
    retry: RetryLimits
    search_attributes: bool
    one_request: bool = False
    listed_variables: dict[str, list[str]] = {}
    turns: bool = False


class Preparation(RunSettings):
    """What the worker that starts a run knows about the message, and the run's settings.

    `invalid` says why `to` is not a phone number, `wrong_variables` which variables are missing or
    not those of the template. `contact` and `flow` are null if they are not
    known yet. `failed_lookup` is the failure of a quick lookup, `failed_send` a first attempt of a
    row that failed in its group; both are raised by the activity that makes the next attempt.
    `turn` is the answer to the ticket, null if the keeper of turns did not answer in time.
    `opening` is the time in which the message may be sent, null if it has no send window.
    """

    to: str | None = None
    invalid: str | None = None
    wrong_variables: list[FieldProblem] = []
    contact: Contact | None = None
    failed_lookup: AttemptFailure | None = None
    failed_send: FailedAttempt | None = None
    flow: FlowMatch | None = None
    turn: AskedTurn | None = None
    opening: Opening | None = None


class PreparationActivities:
    """The first step of a run, as a local activity.

    Every run that starts on this worker gets these settings. With `one_request` the first step
    makes no provider call: local activities bypass the task queue and so its rate limit.
    """

    def __init__(
        self,
        contacts: ContactActivities,
        flows: FlowActivities,
        catalogue: Catalogue,
        turns: Turns,
        *,
        timeout_s: float,
        retry: RetryLimits,
        search_attributes: bool,
        one_request: bool = False,
    ) -> None:
        self._contacts = contacts
        self._flows = flows
        self._catalogue = catalogue
        self._turns = turns
        self._settings = RunSettings(
            start_to_close_s=timeout_s + START_TO_CLOSE_MARGIN_S,
            retry=retry,
            search_attributes=search_attributes,
            one_request=one_request,
            turns=True,
        )

    @activity.defn
    async def read_settings(self, templates: list[str]) -> RunSettings:
        """Return the settings of a run that prepares no message itself, but sends `templates`."""
        required = {name: self._catalogue.required(name) for name in templates}
        listed = {name: names for name, names in required.items() if names is not None}
        return self._settings.model_copy(update={"listed_variables": listed})

    @activity.defn
    async def prepare(self, request: Prepare) -> Preparation:
        """Return number, contact and flow as far as they are known, and the run's settings.

        If the send window is closed, nothing is looked up and no turn is asked for.

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
            if request.template:
                required = self._catalogue.required(request.template)
                prepared.wrong_variables = variable_problems(required, request.variables)
                if prepared.wrong_variables:
                    return prepared
            if request.window and request.at:
                prepared.opening = opening(request.window, prepared.to, request.at)
                if not prepared.opening.is_open:
                    return prepared
            await asyncio.gather(
                self._look_up(request, prepared, prepared.to),
                self._ask_for_turn(request.ticket, prepared, prepared.to),
            )
            return prepared

    async def _look_up(self, request: Prepare, prepared: Preparation, number: str) -> None:
        """Find the contact and the flow, as far as they are known or quickly looked up."""
        prepared.flow = self._flows.cached(request.template) if request.template else None
        contact_id = self._contacts.cached(number)
        flow_known = request.template is None or prepared.flow is not None
        may_call = request.look_up and not self._settings.one_request
        if contact_id is None and may_call and flow_known:
            try:
                async with asyncio.timeout(LOOK_UP_WITHIN_S):
                    contact_id = await self._contacts.look_up(number, self._settings.retry)
            except TimeoutError:
                pass  # The call continues; `resolve_contact` joins it.
            except ApplicationError as error:
                prepared.failed_lookup = AttemptFailure.of(error)
        if contact_id is not None:
            prepared.contact = self._contacts.contact(number, contact_id)

    async def _ask_for_turn(
        self, ticket: Ticket | None, prepared: Preparation, number: str
    ) -> None:
        if ticket is not None:
            prepared.turn = await self._turns.ask(number, ticket)
