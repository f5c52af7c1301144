"""The search attributes that starters set, so that operators find runs that no worker has taken."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from send_whatsapp.contract import attributes
from send_whatsapp.contract.parts import PartRequest
from send_whatsapp.contract.phone import InvalidPhoneNumber, to_e164
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.temporal.search_attributes import (
    distrust_search_attributes,
    registered_search_attributes,
)

T = TypeVar("T")


async def start_with_attributes(
    client: Client,
    wanted: Iterable[SearchAttributePair[Any]],
    start: Callable[[TypedSearchAttributes], Awaitable[T]],
) -> T:
    """Start a run with those of the wanted attributes that the server has; return the result.

    If the server refuses them all the same, `start` is called again without any.
    """
    registered = await registered_search_attributes(client)
    usable = [pair for pair in wanted if pair.key.name in registered]
    try:
        return await start(TypedSearchAttributes(usable))
    except RPCError as error:
        if error.status != RPCStatusCode.INVALID_ARGUMENT or not usable:
            raise
    distrust_search_attributes(client)
    return await start(TypedSearchAttributes.empty)


def of_send(request: SendWhatsAppRequest, region: str) -> list[SearchAttributePair[Any]]:
    """Return what is known of a send at its start: kind, template and last four digits."""
    pairs = [SearchAttributePair(attributes.KIND, request.requested_kind)]
    if request.template is not None:
        pairs.append(SearchAttributePair(attributes.TEMPLATE, request.template))
    if last4 := last_four(request.to, region):
        pairs.append(SearchAttributePair(attributes.PHONE_LAST4, last4))
    return pairs


def of_part(part: PartRequest) -> list[SearchAttributePair[Any]]:
    """Return the last four digits of the numbers that a part of a batch sends to."""
    digits = part.last_digits
    return [SearchAttributePair(attributes.ROWS_LAST4, digits)] if digits else []


def last_four(phone: str, region: str) -> str | None:
    """Return the last four digits of a number in any notation; None if it is not a number."""
    try:
        return to_e164(phone, region)[-4:]
    except InvalidPhoneNumber:
        return None
