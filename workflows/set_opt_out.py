"""SetOptOut: adds the tag for opt-outs to a contact, or removes it."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.opt_out_changes import (
        FoundTag,
        OfAccount,
        OfContact,
        OptOutActivities,
        ShownContact,
        TagOfContact,
    )
    from activities.preparation import Preparation
    from send_whatsapp.contract import attributes
    from send_whatsapp.contract.errors import ErrorType, failure
    from send_whatsapp.contract.names import SET_OPT_OUT_WORKFLOW
    from send_whatsapp.contract.opt_out import SetOptOutRequest, SetOptOutResult
    from workflows import steps
    from workflows.start_deadline import check_start_time


@workflow.defn(name=SET_OPT_OUT_WORKFLOW)
class SetOptOut:
    """Changes the opt-out of one person. Completed: the provider has the change."""

    @workflow.run
    async def run(self, request: SetOptOutRequest) -> SetOptOutResult:
        """Return what the provider shows then; fail as one of `ErrorType`."""
        check_start_time()
        workflow.set_current_details("Looks up the contact.")
        prepared = await steps.prepare(request.to, None, (), look_up=True)
        if prepared.invalid is not None:
            raise failure(ErrorType.INVALID_PHONE_NUMBER, prepared.invalid)
        if prepared.search_attributes and prepared.to:
            last4 = attributes.PHONE_LAST4.value_set(prepared.to[-4:])
            workflow.upsert_search_attributes([last4])
        contact = await steps.resolve_contact(request.to, prepared, steps.SINGLE_SEND)
        change = add_tag if request.opted_out else remove_tags
        workflow.set_current_details("Changes the tags of the contact.")
        shown = await change(contact.contact_id, prepared)
        workflow.set_current_details(f"**done** Opted out: {request.opted_out}.")
        return SetOptOutResult(
            to=contact.to,
            opted_out=request.opted_out,
            unsubscribed=shown.unsubscribed,
            respected=shown.respected,
        )


async def add_tag(contact_id: str, settings: Preparation) -> ShownContact:
    """Add the tag, and create it first if the account has none."""
    retry = settings.retry
    of_account = OfAccount(retry=retry)
    found: FoundTag = await _call(OptOutActivities.find_opt_out_tag, of_account, settings)
    if found.tag_id is None:
        found = await _call(OptOutActivities.create_opt_out_tag, of_account, settings)
    tag = TagOfContact(retry=retry, contact_id=contact_id, tag_id=found.tag_id or "")
    shown: ShownContact = await _call(OptOutActivities.add_opt_out_tag, tag, settings)
    return shown


async def remove_tags(contact_id: str, settings: Preparation) -> ShownContact:
    """Remove every tag that means an opt-out; return what is shown before that."""
    of_contact = OfContact(retry=settings.retry, contact_id=contact_id)
    shown: ShownContact = await _call(OptOutActivities.read_opt_out, of_contact, settings)
    for tag_id in shown.tag_ids:
        tag = TagOfContact(retry=settings.retry, contact_id=contact_id, tag_id=tag_id)
        await _call(OptOutActivities.remove_opt_out_tag, tag, settings)
    return shown


async def _call(activity: Callable[..., Any], request: OfAccount, settings: Preparation) -> Any:
    """Run an activity until it succeeds or its retries are used up; raise its own failure."""
    try:
        return await workflow.execute_activity_method(
            activity,
            request,
            start_to_close_timeout=timedelta(seconds=settings.start_to_close_s),
            retry_policy=steps.retry_policy(settings.retry),
            priority=steps.SINGLE_SEND.priority,
        )
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise asyncio.CancelledError from None
        raise steps.our_failure(error) or failure(
            ErrorType.PROVIDER_UNAVAILABLE,
            "The worker was lost, so the opt-out may be as before: check the workers, then repeat"
            " it",
        ) from None
